"""No object at all for a time, while the camera was being analysed."""

from __future__ import annotations

from typing import Any

from vedette.contracts.manifest import NothingSeen
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import Event, RuleMachine, Scene
from vedette.core.rules.timer import ConditionTimer
from vedette.core.rules.visits import polygon_array


class NothingSeenMachine(RuleMachine):
    """Reports in the picture in which nothing has been seen for ``for_s``; once until something is seen.

    What is seen for less than ``hold_s`` does not count as something.
    """

    def __init__(self, plan: RulePlan, rule: NothingSeen) -> None:
        super().__init__(plan, rule)
        self._zone = polygon_array(rule.zone)
        self._timer = ConditionTimer(rule.for_s, rule.hold_s)

    def _judge(self, scene: Scene) -> list[Event]:
        if scene.tick.gap_s:
            self._timer.gap()
        nothing_s = self._timer.update(scene.tick.now_s, not any(scene.within(self._zone)))
        if nothing_s is None or not scene.armed:
            return []
        self._timer.report()
        return [Event(scene.moment, (), duration_s=nothing_s)]

    def _forget(self) -> None:
        self._timer.forget()

    def _dump(self) -> Any:
        return self._timer.dump()

    def _load(self, state: Any) -> None:
        self._timer.load(state)
