"""An object's anchor point goes over a line."""

from __future__ import annotations

from typing import Any

from vedette.contracts.manifest import LineCrossed
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import Event, RuleMachine, Scene
from vedette.core.rules.lines import LineBook


class LineCrossedMachine(RuleMachine):
    """Reports a crossing as of the first picture beyond the line; see ``LineBook`` for what is one."""

    def __init__(self, plan: RulePlan, rule: LineCrossed) -> None:
        super().__init__(plan, rule)
        self._direction = None if rule.direction == "any" else rule.direction
        self._book = LineBook(rule.line, rule.hysteresis, rule.hold_s, self._direction)

    def _judge(self, scene: Scene) -> list[Event]:
        return [
            Event(mark.moment, mark.objects, direction=direction)
            for mark, direction in self._book.see(scene)
            if self._direction in (None, direction) and self._armed_at(mark.moment)
        ]

    def _forget(self) -> None:
        self._book.clear()

    def _dump(self) -> Any:
        return self._book.dump()

    def _load(self, state: Any) -> None:
        self._book.load(state)
