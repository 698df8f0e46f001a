"""One time line per stream, from time stamps that jump, wrap or are missing and arrivals that come in bursts."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

#: Smallest step of the time line: it never stands still and never goes back.
STEP_S: Final = 1e-6
#: Pictures may be this late behind the stream's own time stamps; beyond, the stamps have jumped or paused.
LAG_LIMIT_S: Final = 2.0
#: The camera's clock and ours may run apart by this much without the lag growing (500 ppm).
DRIFT: Final = 0.0005
#: Time stamps that run ahead of the arrivals by more than this have jumped.
LEAD_LIMIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class StreamTime:
    """Times of one picture, as in ``FrameInfo``."""

    t_s: float
    media_time_s: float


#: Longest delay believed to be the decoder's: 16 pictures (H.264, H.265) at 16 pictures a second.
REORDER_LIMIT_S: Final = 1.0
_KEYS_REMEMBERED: Final = 4


class LiveTimeline:
    """Maps a live stream's time stamps to the monotonic clock.

    The stamps are even but their zero is unknown; the arrivals are ours but uneven. The smallest difference seen
    between the two is the transmission without queueing, so ``stamp + smallest difference`` is when a picture was
    sent, as evenly as the camera's clock. The difference may grow slowly (clocks run apart) and starts anew when the
    stamps go back, jump ahead, or the lag passes ``LAG_LIMIT_S``; what came while nothing was read has waited here and
    may be later by that (``away``). ``t_s`` is never after the arrival by more than
    ``STEP_S`` per picture, and strictly increasing.
    """

    def __init__(self) -> None:
        self._lag = Lag()
        self._stamp_s: float | None = None
        self._arrival_s = 0.0
        self._t_s: float | None = None
        self._media_s = 0.0
        self._away_s, self._away_until_s = 0.0, -math.inf

    def away(self, seconds: float, now_s: float) -> None:
        """Nothing was read for so long until now (monotonic); what came meanwhile is read from now on."""
        self._away_s, self._away_until_s = seconds, now_s + 2 * seconds

    def next(self, stamp_s: float | None, arrival_s: float) -> StreamTime:
        """Times of the next picture.

        Args:
            stamp_s: its presentation time stamp, seconds; None where it has none.
            arrival_s: monotonic time at which it arrived, seconds.
        """
        late_s = self._lag.note(stamp_s, arrival_s)
        if late_s > LAG_LIMIT_S + (self._away_s if arrival_s < self._away_until_s else 0.0):
            self._lag.accept()
            late_s = 0.0
        t_s = arrival_s - late_s
        if self._t_s is None:
            self._t_s, self._stamp_s, self._arrival_s = t_s, stamp_s, arrival_s
            return StreamTime(t_s, 0.0)
        t_s = max(t_s, self._t_s + STEP_S)
        step_s = t_s - self._t_s
        if stamp_s is not None and self._stamp_s is not None:
            stamp_step_s = stamp_s - self._stamp_s
            if 0 < stamp_step_s <= max(arrival_s - self._arrival_s, 0.0) + LEAD_LIMIT_S:
                step_s = stamp_step_s
        self._media_s += max(step_s, STEP_S)
        self._t_s, self._stamp_s, self._arrival_s = t_s, stamp_s, arrival_s
        return StreamTime(t_s, self._media_s)


class Lag:
    """How far a live stream is behind its own time stamps, against its quickest picture since they last jumped.

    Over a link that carries less than the camera sends, pictures wait in the camera, longer and longer.
    """

    __slots__ = ("_arrival_s", "_quickest_s", "_stamp_s", "_way_s")

    def __init__(self) -> None:
        self._quickest_s = math.inf
        self._way_s = 0.0
        self._stamp_s: float | None = None
        self._arrival_s = 0.0

    def note(self, stamp_s: float | None, arrival_s: float) -> float:
        """How late a picture came, seconds; 0 where it has no time stamp.

        Args:
            stamp_s: its presentation time stamp; None where it has none.
            arrival_s: monotonic time at which it arrived.
        """
        before_s, self._stamp_s = self._stamp_s, stamp_s
        waited_s, self._arrival_s = max(arrival_s - self._arrival_s, 0.0), arrival_s
        if stamp_s is None:
            return 0.0
        self._way_s = arrival_s - stamp_s
        if before_s is not None and not before_s < stamp_s <= before_s + waited_s + LEAD_LIMIT_S:
            self._quickest_s = math.inf
        self._quickest_s = min(self._quickest_s + DRIFT * waited_s, self._way_s)
        return self._way_s - self._quickest_s

    def accept(self) -> None:
        """The latest picture was not late: time stamps have jumped, or paused."""
        self._quickest_s = self._way_s


class ReorderDelay:
    """How long a decoder holds pictures back to put them in order, as its key pictures show it.

    With B pictures a picture comes out some packets after its own went in. Key pictures are sent at their own time
    and come out as late as the others, so they tell by how much an arrival is to be dated back.

    Attributes:
        seconds: by the last key picture; 0 until one has come.
    """

    __slots__ = ("_arrivals", "seconds")

    def __init__(self) -> None:
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=_KEYS_REMEMBERED)
        self.seconds = 0.0

    def packet(self, stamp: int, arrival_s: float) -> None:
        """A key picture's packet arrived (monotonic time)."""
        self._arrivals.append((stamp, arrival_s))

    def picture(self, stamp: int, now_s: float) -> None:
        """A picture came out, ``now_s`` being the arrival of the latest packet."""
        for known, arrival_s in self._arrivals:
            if known == stamp:
                self.seconds = min(max(now_s - arrival_s, 0.0), REORDER_LIMIT_S)
                return


class FileTimeline:
    """Times of a file's pictures: its own time stamps from the first picture on, made strictly increasing.

    Args:
        frame_s: time between pictures, used where a time stamp is missing or goes back.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._stamp_s: float | None = None
        self._media_s: float | None = None

    def next(self, stamp_s: float | None) -> StreamTime:
        """Times of the next picture; both are seconds since the first one."""
        if self._media_s is None:
            self._media_s = 0.0
        else:
            step_s = self._frame_s
            if stamp_s is not None and self._stamp_s is not None and stamp_s > self._stamp_s:
                step_s = stamp_s - self._stamp_s
            self._media_s += max(step_s, STEP_S)
        self._stamp_s = stamp_s
        return StreamTime(self._media_s, self._media_s)
