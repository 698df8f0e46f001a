"""Someone, whoever it is, has been in the zone without a break."""

from __future__ import annotations

from typing import Any

from vedette.contracts.manifest import ZoneOccupied
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import MAX_OBJECTS, Event, RuleMachine, Scene
from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.visits import GRACE_S, polygon_array


class ZoneOccupiedMachine(RuleMachine):
    """Reports an occupation in the picture in which it has lasted ``for_s``, once.

    It ends when the zone has been empty for more than ``hold_s`` (1 s where it is 0) of analysed time. A gap counts
    only where one of those who were in the zone before it is there after it.
    """

    def __init__(self, plan: RulePlan, rule: ZoneOccupied) -> None:
        super().__init__(plan, rule)
        self._zone = polygon_array(rule.zone)
        self._for_s = rule.for_s - SLACK_S
        self._grace_s = (rule.hold_s or GRACE_S) + SLACK_S
        self._since_s: float | None = None
        self._empty_s: float | None = None
        self._owed_s = 0.0
        self._numbers: set[int] = set()
        self._reported = False

    def _judge(self, scene: Scene) -> list[Event]:
        now_s = scene.tick.now_s
        self._owed_s += scene.tick.gap_s
        here = tuple(
            sighting for sighting, inside in zip(scene.objects, scene.within(self._zone), strict=True) if inside
        )
        if self._empty_s is not None and now_s - self._empty_s > self._grace_s:
            self._forget()
        if not here:
            if self._since_s is not None and self._empty_s is None:
                self._empty_s = now_s
            return []
        numbers = {sighting.track_id for sighting in here[:MAX_OBJECTS]}
        if self._since_s is None:
            self._since_s = now_s
        elif self._owed_s and not numbers.isdisjoint(self._numbers):
            self._since_s -= self._owed_s
        self._empty_s, self._owed_s, self._numbers = None, 0.0, numbers
        lasted_s = now_s - self._since_s
        if self._reported or not scene.armed or lasted_s < self._for_s:
            return []
        self._reported = True
        return [Event(scene.moment, here[:MAX_OBJECTS], count=len(here), duration_s=lasted_s)]

    def _forget(self) -> None:
        self._since_s, self._empty_s, self._owed_s = None, None, 0.0
        self._numbers = set()
        self._reported = False

    def _dump(self) -> Any:
        return [self._since_s, self._empty_s, self._owed_s, sorted(self._numbers), self._reported]

    def _load(self, state: Any) -> None:
        since_s, empty_s, owed_s, numbers, reported = state
        self._since_s = None if since_s is None else float(since_s)
        self._empty_s = None if empty_s is None else float(empty_s)
        self._owed_s = float(owed_s)
        self._numbers = {int(number) for number in numbers}
        self._reported = bool(reported)
