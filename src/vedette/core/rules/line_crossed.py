"""An object's anchor point goes over a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vedette.contracts.alert import Direction
from vedette.contracts.manifest import LineCrossed
from vedette.contracts.plan import RulePlan
from vedette.core import geometry
from vedette.core.rules.base import Event, Mark, RuleMachine, Scene
from vedette.core.rules.clock import FORGET_S, SLACK_S

#: How far beyond an end of the line a step may pass and still go over it, normalised.
END_TOLERANCE: Final = 0.01
#: Most tracks remembered for a rule.
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


class LineCrossedMachine(RuleMachine):
    """Reports a crossing as of the first picture beyond the line.

    A side counts from ``hysteresis`` away from the line, so that one who stands on the line does not cross it again
    and again; the new side must last ``hold_s``. What matters is where the way from sighting to sighting meets the
    line: past an end by more than a hundredth of the picture is no crossing. A track lost on the way and found on
    the other side under its old number has crossed.
    """

    def __init__(self, plan: RulePlan, rule: LineCrossed) -> None:
        super().__init__(plan, rule)
        self._line = np.asarray(rule.line, np.float64)
        self._band = rule.hysteresis
        self._direction = None if rule.direction == "any" else rule.direction
        self._across = _directions(rule)
        self._walkers: dict[int, Walker] = {}

    def _judge(self, scene: Scene) -> list[Event]:
        events: list[Event] = []
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
                if certain and near:
                    self._certain(walker, near, now_s, events)
            self._walkers[sighting.track_id] = walker
        self._tidy(now_s)
        return events

    @property
    def _tolerance(self) -> float:
        return max(END_TOLERANCE, self._band)

    def _certain(self, walker: Walker, side: int, now_s: float, events: list[Event]) -> None:
        """The object is certainly on a side: has it crossed?"""
        if walker.side in (0, side):
            walker.side, walker.since_s = side, None
            return
        if walker.since_s is None:
            walker.since_s = now_s
        if now_s - walker.since_s < self._hold_s - SLACK_S:
            return
        walker.side, walker.since_s = side, None
        direction = self._across[side]
        if (
            walker.mark is not None
            and walker.through
            and self._direction in (None, direction)
            and self._armed_at(walker.mark.moment)
        ):
            events.append(Event(walker.mark.moment, walker.mark.objects, direction=direction))

    def _tidy(self, now_s: float) -> None:
        """Drop tracks unseen for long; they stand in the order of their last sighting."""
        while self._walkers:
            oldest = next(iter(self._walkers))
            if len(self._walkers) <= MAX_TRACKS and now_s - self._walkers[oldest].seen_s <= FORGET_S:
                break
            del self._walkers[oldest]

    def _forget(self) -> None:
        self._walkers.clear()

    def _dump(self) -> Any:
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

    def _load(self, state: Any) -> None:
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


def _directions(rule: LineCrossed) -> dict[int, Direction]:
    """How a crossing to each side is called.

    In the terms of the rule's own direction; for ``any``, left and right where the line is more upright than level.
    """
    across_x, across_y = geometry.normal(rule.line)
    sideways = abs(across_x) >= abs(across_y) if rule.direction == "any" else rule.direction in _HORIZONTAL
    if sideways:
        right = 1 if across_x > 0 else -1
        return {right: Direction.LEFT_TO_RIGHT, -right: Direction.RIGHT_TO_LEFT}
    down = 1 if across_y > 0 else -1
    return {down: Direction.TOP_TO_BOTTOM, -down: Direction.BOTTOM_TO_TOP}
