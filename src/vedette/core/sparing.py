"""Which encoded pictures need not be decoded because others nearby are decoded anyway.

A picture to which no other refers may be left out where the pictures before and after it that others do refer to are
close together, compared with the pictures that are wanted: a point of the sampling grid between these two is then
served by the later one, and no two points lie between them. The rate stays what was asked for; a picture is taken
later than its point by less than that distance. Close is three fifths of the interval: with two thirds, and so with
pictures less evenly apart, people counted in a crowd were 3 % fewer (recording of a shop, five pictures a second).

The answer depends on the stream alone, not on when it was joined, so recordings are judged on the pictures that a
camera would be judged on.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

#: Pictures that are remembered; more than any stream has between a picture and the next one in the order of showing.
_REMEMBERED: Final = 16
#: Of the interval: how far apart pictures may be.
_CLOSE: Final = 0.6
#: Time stamps are whole units of a time base.
_ROUNDING_S: Final = 1e-3


class Sparing:
    """Decides packet by packet, in the order of decoding."""

    __slots__ = ("_layered", "_shown_s")

    def __init__(self) -> None:
        self._shown_s: list[float] = []
        self._layered = False

    def spares(self, t_s: float, interval_s: float, *, reference: bool, layer: int) -> bool:
        """Whether the picture of a packet need not be decoded.

        Args:
            t_s: when it is shown, by the stream's time stamps.
            interval_s: between pictures that are wanted; 0: all are.
            reference: others may refer to it.
            layer: its temporal layer. In streams that have several, pictures of a higher one may refer to those of a
                lower one to which none of their own layer refers: there everything is decoded.
        """
        self._layered = self._layered or layer > 0
        if reference:
            insort(self._shown_s, t_s)
            if len(self._shown_s) > _REMEMBERED:
                self._forget(t_s)
            return False
        if self._layered or not interval_s:
            return False
        after = bisect_left(self._shown_s, t_s)
        if not 0 < after < len(self._shown_s):
            return False
        return self._shown_s[after] - self._shown_s[after - 1] <= _CLOSE * interval_s + _ROUNDING_S

    def _forget(self, t_s: float) -> None:
        """What is farthest from a picture is no neighbour of those that follow it, also where time has jumped."""
        ends = (self._shown_s[0], self._shown_s[-1])
        del self._shown_s[0 if t_s - ends[0] >= ends[1] - t_s else -1]
