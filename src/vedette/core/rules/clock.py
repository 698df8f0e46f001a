"""What time it is for a rule, and what of it was analysed.

Two clocks run over the batches of a stream. *Analysed* time stands still over a gap: what nobody looked at counts
neither as presence nor as absence. *Elapsed* time goes on over gaps; cool-downs use it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.frames import FrameInfo

#: Timers compare with this much slack, seconds: sums of time steps carry rounding errors.
SLACK_S: Final = 1e-6
#: Without analysis for longer than this, what was known of the scene is forgotten, seconds. No tracker keeps an
#: object for longer.
FORGET_S: Final = 60.0
#: Least gap: shorter pauses are the unevenness of sampling, seconds.
LEAST_GAP_S: Final = 1.0
#: Between two ingest epochs, monotonic and wall clock may differ by this much before the device is taken to have been
#: started anew (its monotonic clock began at 0 again), seconds.
REBOOT_S: Final = 5.0
#: Unix time of the years 1 and 10000: what lies outside cannot be said in RFC 3339.
FIRST_WALL_S: Final = -62_135_596_800.0
LAST_WALL_S: Final = 253_402_300_800.0


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of the clock.

    Attributes:
        now_s: analysed seconds since the clock started.
        gap_s: length of the gap that ended with this picture, or 0.
        broken: whether the gap was so long, or of a length so unknown, that everything before it is forgotten.
    """

    now_s: float
    gap_s: float
    broken: bool


class StreamClock:
    """The time of one stream of batches.

    Args:
        fps: pictures analysed a second, says which pause is a gap.
    """

    def __init__(self, fps: float) -> None:
        self._limit_s = max(LEAST_GAP_S, 3.0 / fps) + SLACK_S
        self._last: tuple[str, int, float, float] | None = None
        self._now_s = 0.0
        self.elapsed_s = 0.0

    @property
    def gap_limit_s(self) -> float:
        """A longer pause between pictures is a gap."""
        return self._limit_s

    @property
    def now_s(self) -> float:
        """Analysed seconds since the clock started."""
        return self._now_s

    @property
    def last_wall_s(self) -> float | None:
        """Unix time of the last picture."""
        return None if self._last is None else self._last[3]

    def advance(self, frame: FrameInfo) -> Tick | None:
        """Go on to a picture.

        Returns:
            None where the picture is to be left alone: it, or a later one of its epoch, was judged before, or
            its times or size are no usable numbers.
        """
        numbers = (frame.t_s, frame.wall_s, frame.media_time_s, frame.still_s)
        if not all(map(math.isfinite, numbers)) or not FIRST_WALL_S <= frame.wall_s < LAST_WALL_S:
            return None
        if frame.width <= 0 or frame.height <= 0:
            return None
        last, here = self._last, (frame.epoch, frame.frame_no, frame.t_s, frame.wall_s)
        if last is None:
            self._last = here
            return Tick(self._now_s, 0.0, False)
        epoch, frame_no, t_s, wall_s = last
        if frame.epoch == epoch and frame.frame_no <= frame_no:
            return None
        self._last = here
        step_s, wall_step_s = frame.t_s - t_s, frame.wall_s - wall_s
        if step_s < 0.0 or (frame.epoch != epoch and abs(wall_step_s - step_s) > REBOOT_S):
            self.elapsed_s += max(wall_step_s, 0.0)
            return Tick(self._now_s, max(wall_step_s, 0.0), True)
        self.elapsed_s += step_s
        # Where nothing moved the scene was as it is: that is no gap.
        if step_s - max(frame.still_s, 0.0) > self._limit_s:
            return Tick(self._now_s, step_s, step_s > FORGET_S)
        self._now_s += step_s
        return Tick(self._now_s, 0.0, False)

    def state(self) -> list[Any]:
        """Small JSON."""
        return [*(self._last or (None, 0, 0.0, 0.0)), self._now_s, self.elapsed_s]

    def restore(self, state: list[Any]) -> None:
        """Go on from ``state()``; raises ValueError or TypeError where it is none."""
        epoch, frame_no, t_s, wall_s, now_s, elapsed_s = state
        self._last = None if epoch is None else (str(epoch), int(frame_no), float(t_s), float(wall_s))
        self._now_s, self.elapsed_s = float(now_s), float(elapsed_s)
