"""Cuts a stream's time into intervals aligned to the wall clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

#: A clock that was set back by no more than this, or a picture that late, belongs to the interval going on, seconds.
BACK_S: Final = 2.0
#: Intervals in a row that are told one by one where time was analysed in each of them.
MAX_IN_A_ROW: Final = 120
#: A leap of the wall clock over more than this is a clock that was set, not a time without pictures, seconds.
LONGEST_OUTAGE_S: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Span:
    """One interval, or several in a row; Unix times, the end not included."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of analysed time within one interval.

    Attributes:
        seconds: its length.
        closes: the interval that ends with it; None where it goes on.
        empty: whole intervals after that one in which there was nothing.
    """

    seconds: float
    closes: Span | None = None
    empty: Span | None = None


class Intervals:
    """The interval going on.

    The wall clock names an interval, analysed time fills it. A clock set back ends the interval going on and begins an
    earlier one again, so that the same interval may be told of twice; what was analysed is in one of the two.

    Args:
        length_s: of an interval; divides a day.
    """

    def __init__(self, length_s: int) -> None:
        self._length_s = float(length_s)
        self._start_s: float | None = None

    @property
    def current(self) -> Span | None:
        """The interval going on; None before the first picture."""
        return None if self._start_s is None else Span(self._start_s, self._start_s + self._length_s)

    def go_on(self, wall_s: float, seconds: float = 0.0, since_s: float | None = None) -> list[Piece]:
        """Go on to a time of the wall clock.

        Args:
            wall_s: Unix time.
            seconds: of analysed time up to it.
            since_s: Unix time at which those began.

        Returns:
            The stretches those seconds fall into, in order; the last one is in the interval going on.
        """
        start_s = self._start_s
        if start_s is None:
            self._start_s = self._aligned(wall_s)
            return []
        if wall_s < start_s - BACK_S:
            self._start_s = self._aligned(wall_s)
            return [Piece(seconds, Span(start_s, start_s + self._length_s))]
        # Where the clock leapt, analysed time cannot be shared out by it.
        even = since_s is not None and 0.0 < wall_s - since_s <= seconds + BACK_S
        pieces: list[Piece] = []
        left_s = seconds
        while wall_s >= start_s + self._length_s:
            end_s = start_s + self._length_s
            part_s = left_s
            if even and since_s is not None:
                share = (end_s - max(since_s, start_s)) / (wall_s - since_s)
                part_s = min(left_s, seconds * min(max(share, 0.0), 1.0))
            left_s -= part_s
            more = left_s > 0.0 and len(pieces) < MAX_IN_A_ROW
            self._start_s = end_s if more else self._aligned(wall_s)
            pieces.append(Piece(part_s, Span(start_s, end_s), _outage(end_s, self._start_s)))
            start_s = self._start_s
        return [*pieces, Piece(left_s)]

    def expire(self, now_s: float, late_s: float, *, untouched: bool) -> list[Piece]:
        """End an interval whose pictures must have come by now.

        Args:
            now_s: Unix time.
            late_s: how late a picture may come.
            untouched: nothing has been seen in the interval going on. Only then does a clock that was set back begin
                another one: where there are pictures, they tell of it in their own order.
        """
        start_s = self._start_s
        if start_s is None or (untouched and now_s < start_s - BACK_S):
            self._start_s = self._aligned(now_s)
        elif now_s >= start_s + self._length_s + late_s:
            return self.go_on(now_s - late_s)
        return []

    def state(self) -> float | None:
        """Small JSON."""
        return self._start_s

    def restore(self, state: Any) -> None:
        """Go on from ``state()``; raises ValueError or TypeError where it is none."""
        self._start_s = None if state is None else float(state)

    def _aligned(self, wall_s: float) -> float:
        return math.floor(wall_s / self._length_s) * self._length_s


def _outage(end_s: float, next_s: float) -> Span | None:
    """What lies between two intervals, where that is to be told."""
    return Span(end_s, next_s) if 0.0 < next_s - end_s <= LONGEST_OUTAGE_S else None
