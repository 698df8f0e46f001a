"""The number of objects is above or below a limit for a time; once each time it becomes so."""

from __future__ import annotations

from typing import Any

from vedette.contracts.manifest import Count
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import MAX_OBJECTS, Event, RuleMachine, Scene
from vedette.core.rules.timer import ConditionTimer
from vedette.core.rules.visits import polygon_array


class CountMachine(RuleMachine):
    """Reports in the picture in which the number has been beyond the limit for ``for_s`` (at least ``hold_s``).

    It must have been within the limit for ``hold_s`` before it can be reported again; a shorter break does not
    interrupt it either.
    """

    def __init__(self, plan: RulePlan, rule: Count) -> None:
        super().__init__(plan, rule)
        self._zone = polygon_array(rule.zone)
        self._above, self._below = rule.above, rule.below
        self._timer = ConditionTimer(max(rule.for_s, rule.hold_s), rule.hold_s)

    def _judge(self, scene: Scene) -> list[Event]:
        if scene.tick.gap_s:
            self._timer.gap()
        here = tuple(
            sighting for sighting, inside in zip(scene.objects, scene.within(self._zone), strict=True) if inside
        )
        beyond = (self._above is not None and len(here) > self._above) or (
            self._below is not None and len(here) < self._below
        )
        held_s = self._timer.update(scene.tick.now_s, beyond)
        if held_s is None or not scene.armed:
            return []
        self._timer.report()
        return [Event(scene.moment, here[:MAX_OBJECTS], count=len(here), duration_s=held_s)]

    def _forget(self) -> None:
        self._timer.forget()

    def _dump(self) -> Any:
        return self._timer.dump()

    def _load(self, state: Any) -> None:
        self._timer.load(state)
