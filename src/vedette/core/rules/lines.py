"""Who is on which side of a line, and who went over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vedette.contracts.alert import Direction
from vedette.contracts.base import Point
from vedette.core import geometry
from vedette.core.rules.clock import FORGET_S, SLACK_S
from vedette.core.rules.scene import Mark, Scene

#: How far beyond an end of the line a step may pass and still go over it, normalised.
END_TOLERANCE: Final = 0.01
#: Most tracks remembered for a line.
MAX_TRACKS: Final = 1024

_HORIZONTAL: Final = (Direction.LEFT_TO_RIGHT, Direction.RIGHT_TO_LEFT)


@dataclass(slots=True)
class Walker:
    """Where a track is with respect to the line.

    Attributes:
        x: anchor point of the last sighting, normalised.
        y: the same.
        seen_s: analysed time of the last sighting.
        side: the side it was last on for certain, -1 or 1; 0 before that.
        near: the side it was last on at all, however close to the line; 0 before that.
        through: whether it went to that side through the line rather than past one of its ends.
        since_s: since when it has been on the other side for certain, where that is not yet a crossing.
        mark: the picture in which it went to ``near``.
    """

    x: float
    y: float
    seen_s: float
    side: int
    near: int
    through: bool = False
    since_s: float | None = None
    mark: Mark | None = None


class LineBook:
    """Tells crossings of a line.

    A side counts from ``hysteresis`` away from the line, so that one who stands on the line does not cross it again
    and again; the new side must last ``hold_s``. What matters is where the way from sighting to sighting meets the
    line: past an end by more than a hundredth of the picture is no crossing. A track lost on the way and found on
    the other side under its old number has crossed.

    Args:
        line: its two ends, normalised.
        hysteresis: normalised.
        hold_s: how long the new side must last.
        terms: the direction in whose terms crossings are told; left and right where it is None and the line is more
            upright than level, else up and down.
    """

    def __init__(self, line: tuple[Point, Point], hysteresis: float, hold_s: float, terms: Direction | None) -> None:
        self._line = np.asarray(line, np.float64)
        self._band = hysteresis
        self._tolerance = max(END_TOLERANCE, hysteresis)
        self._hold_s = hold_s - SLACK_S
        self._across = _directions(line, terms)
        self._walkers: dict[int, Walker] = {}

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """The two ways across, rightwards or downwards first."""
        order = list(Direction)
        first, second = sorted(self._across.values(), key=order.index)
        return first, second

    def see(self, scene: Scene) -> list[tuple[Mark, Direction]]:
        """Take in one picture.

        Returns:
            Crossings that are certain now: the first picture beyond the line, and the way.
        """
        crossings: list[tuple[Mark, Direction]] = []
        now_s = scene.tick.now_s
        distances = geometry.sides(scene.points, self._line) if scene.objects else np.empty(0)
        for index, sighting in enumerate(scene.objects):
            distance = float(distances[index])
            x, y = float(scene.points[index, 0]), float(scene.points[index, 1])
            certain = abs(distance) >= self._band
            near = (distance > 0) - (distance < 0)
            walker = self._walkers.pop(sighting.track_id, None)
            if walker is None:
                walker = Walker(x, y, now_s, near if certain else 0, near)
            else:
                if near not in (0, walker.near):
                    step = (walker.x, walker.y), (x, y)
                    walker.through = walker.near != 0 and geometry.passes(*step, self._line, self._tolerance)
                    walker.near, walker.mark, walker.since_s = near, scene.mark(sighting), None
                walker.x, walker.y, walker.seen_s = x, y, now_s
                if certain and near and self._crosses(walker, near, now_s) and walker.mark is not None:
                    crossings.append((walker.mark, self._across[near]))
            self._walkers[sighting.track_id] = walker
        self._tidy(now_s)
        return crossings

    def clear(self) -> None:
        """Forget everybody."""
        self._walkers.clear()

    def _crosses(self, walker: Walker, side: int, now_s: float) -> bool:
        """The object is certainly on a side: has it gone there over the line?"""
        if walker.side in (0, side):
            walker.side, walker.since_s = side, None
            return False
        if walker.since_s is None:
            walker.since_s = now_s
        if now_s - walker.since_s < self._hold_s:
            return False
        walker.side, walker.since_s = side, None
        return walker.through

    def _tidy(self, now_s: float) -> None:
        """Drop tracks unseen for long; they stand in the order of their last sighting."""
        while self._walkers:
            oldest = next(iter(self._walkers))
            if len(self._walkers) <= MAX_TRACKS and now_s - self._walkers[oldest].seen_s <= FORGET_S:
                break
            del self._walkers[oldest]

    def dump(self) -> list[Any]:
        """Small JSON."""
        return [
            [
                track_id,
                walker.x,
                walker.y,
                walker.seen_s,
                walker.side,
                walker.near,
                walker.through,
                walker.since_s,
                None if walker.mark is None or walker.near == walker.side else walker.mark.dump(),
            ]
            for track_id, walker in self._walkers.items()
        ]

    def load(self, state: list[Any]) -> None:
        """Go on from ``dump()``."""
        self._walkers = {
            int(track_id): Walker(
                float(x),
                float(y),
                float(seen_s),
                int(side),
                int(near),
                bool(through),
                None if since_s is None else float(since_s),
                None if mark is None else Mark.load(mark),
            )
            for track_id, x, y, seen_s, side, near, through, since_s, mark in state
        }


def _directions(line: tuple[Point, Point], terms: Direction | None) -> dict[int, Direction]:
    """How a crossing to each side is called."""
    across_x, across_y = geometry.normal(line)
    sideways = abs(across_x) >= abs(across_y) if terms is None else terms in _HORIZONTAL
    if sideways:
        right = 1 if across_x > 0 else -1
        return {right: Direction.LEFT_TO_RIGHT, -right: Direction.RIGHT_TO_LEFT}
    down = 1 if across_y > 0 else -1
    return {down: Direction.TOP_TO_BOTTOM, -down: Direction.BOTTOM_TO_TOP}
