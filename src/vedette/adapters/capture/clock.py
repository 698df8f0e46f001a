"""Times of pictures, and how many come a second."""

from __future__ import annotations

import os
import time
from typing import Final

from vedette.core.stream import StreamProgress
from vedette.core.timeline import FileTimeline, LiveTimeline, StreamTime

#: Rates outside are mistakes of the stream description.
FPS_RANGE: Final = (0.1, 240.0)
#: Weight of the newest interval in the measured rate.
_FPS_WEIGHT: Final = 0.05


class PictureClock:
    """Times of the pictures of one epoch, live or from a file."""

    def __init__(self, file: bool, realtime: bool, frame_s: float, wall_start_s: float | None, path: str) -> None:
        self._live = None if file else LiveTimeline()
        self._file = FileTimeline(frame_s) if file else None
        self._realtime = realtime
        self._start_s: float | None = None
        self._wall_start_s = 0.0
        if not realtime:
            self._wall_start_s = os.stat(path).st_mtime if wall_start_s is None else wall_start_s

    def next(self, stamp_s: float | None, arrival_s: float) -> StreamTime:
        """Times of the next picture, by its time stamp and the monotonic time at which it arrived."""
        if self._live is not None:
            return self._live.next(stamp_s, arrival_s)
        assert self._file is not None
        times = self._file.next(stamp_s)
        if not self._realtime:
            return times
        if self._start_s is None:
            self._start_s = time.monotonic()
        return StreamTime(self._start_s + times.media_time_s, times.media_time_s)

    def away(self, seconds: float) -> None:
        """Nothing was read for so long until now."""
        if self._live is not None:
            self._live.away(seconds, time.monotonic())

    def stand(self, media_time_s: float) -> StreamTime:
        """A file in real time stands at this moment (seconds into it): it is shown now, whenever it was due."""
        self._start_s = time.monotonic() - media_time_s
        return StreamTime(self._start_s + media_time_s, media_time_s)

    def wall_s(self, times: StreamTime) -> float:
        """Unix time of a picture by this device's clock, as the clock stands now."""
        if self._realtime:
            return time.time() - (time.monotonic() - times.t_s)
        return self._wall_start_s + times.media_time_s


class RateMeter:
    """Pictures a second by the stream's own time stamps, smoothed."""

    def __init__(self, progress: StreamProgress) -> None:
        self._progress = progress
        self._last_s: float | None = None
        self._interval_s = 0.0

    def note(self, stamp_s: float | None) -> None:
        """A picture's time stamp."""
        last_s, self._last_s = self._last_s, stamp_s
        if stamp_s is None or last_s is None or not 1 / FPS_RANGE[1] <= stamp_s - last_s <= 1 / FPS_RANGE[0]:
            return
        step_s = stamp_s - last_s
        self._interval_s = (
            step_s if not self._interval_s else self._interval_s + _FPS_WEIGHT * (step_s - self._interval_s)
        )
        self._progress.fps = 1 / self._interval_s
