"""Which pictures of a stream are used where fewer are asked for than arrive."""

from __future__ import annotations

import math
from typing import Final

#: A picture this share of an interval early still counts: time stamps are rounded and cameras jitter.
EARLY_SHARE: Final = 0.1
#: A picture that is later than due by more than this many intervals comes after a gap and starts the grid anew. Less
#: is a stream that jitters or is hardly faster than asked for: then the next picture is due at once, and only it.
GAP_INTERVALS: Final = 4.0


class Sampler:
    """Picks pictures by time stamp so that their mean rate is the one asked for.

    The first picture is taken at once; later ones when a grid of one point per interval is reached. The grid moves
    by whole intervals, not from the picture taken, so the rate does not sink to a divisor of the stream's (25 to 10
    pictures a second gives 10, not 8.3). Time that goes back, or a gap, starts the grid anew.

    Args:
        fps: pictures a second asked for; above 0. ``math.inf`` takes every picture.

    Raises:
        ValueError: ``fps`` is not above 0.
    """

    __slots__ = ("_interval_s", "_last_s", "_next_s")

    def __init__(self, fps: float) -> None:
        self._next_s: float | None = None
        self._last_s = 0.0
        self._interval_s = 0.0
        self.set_fps(fps)

    @property
    def interval_s(self) -> float:
        """Mean time between the pictures taken."""
        return self._interval_s

    def copy(self) -> Sampler:
        """Another one that stands where this one does."""
        twin = Sampler(math.inf)
        twin._interval_s, twin._next_s, twin._last_s = self._interval_s, self._next_s, self._last_s
        return twin

    def set_fps(self, fps: float) -> None:
        """Change the rate; the next picture is due no later than it was and at most one new interval away."""
        if not fps > 0:
            raise ValueError(f"a sampling rate must be above 0 pictures a second, not {fps}")
        interval_s = 1.0 / fps
        if interval_s == self._interval_s:
            return
        self._interval_s = interval_s
        if self._next_s is not None:
            self._next_s = min(self._next_s, self._last_s + interval_s)

    def due(self, t_s: float) -> bool:
        """Whether a picture of time ``t_s`` (seconds) would be taken; changes nothing."""
        if self._next_s is None or t_s < self._last_s:
            return True
        return t_s >= self._next_s - EARLY_SHARE * self._interval_s

    def taken(self, t_s: float) -> None:
        """Note that the picture of time ``t_s`` is used."""
        interval_s = self._interval_s
        if self._next_s is None or t_s < self._last_s or t_s > self._next_s + GAP_INTERVALS * interval_s:
            self._next_s = t_s + interval_s
        else:
            self._next_s = max(self._next_s + interval_s, t_s)
        self._last_s = t_s

    def wants(self, t_s: float) -> bool:
        """Whether to use the picture of time ``t_s``; where the answer is yes, it counts as used."""
        if not self.due(t_s):
            return False
        self.taken(t_s)
        return True
