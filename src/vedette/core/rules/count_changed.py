"""The number of objects has changed and stayed so; the first number is reported too."""

from __future__ import annotations

from typing import Any

from vedette.contracts.manifest import CountChanged
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import Event, Mark, RuleMachine, Scene
from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.visits import polygon_array


class CountChangedMachine(RuleMachine):
    """Reports a number that has been the same for ``hold_s``, as of the first picture in which it was so.

    The last number reported is remembered over gaps of any length; a change during one is reported after it.
    """

    def __init__(self, plan: RulePlan, rule: CountChanged) -> None:
        super().__init__(plan, rule)
        self._zone = polygon_array(rule.zone)
        self._reported: int | None = None
        self._mark: Mark | None = None
        self._count = 0
        self._since_s = 0.0

    def _judge(self, scene: Scene) -> list[Event]:
        now_s = scene.tick.now_s
        if scene.tick.gap_s:
            self._forget()
        here = tuple(
            sighting for sighting, inside in zip(scene.objects, scene.within(self._zone), strict=True) if inside
        )
        if len(here) == self._reported:
            self._forget()
            return []
        if self._mark is None or self._count != len(here):
            self._mark, self._count, self._since_s = scene.mark(*here), len(here), now_s
        held_s = now_s - self._since_s
        if held_s < self._hold_s - SLACK_S:
            return []
        mark, self._reported = self._mark, self._count
        self._forget()
        if not self._armed_at(mark.moment):
            return []
        return [Event(mark.moment, mark.objects, count=self._reported, duration_s=held_s)]

    def _forget(self) -> None:
        self._mark, self._count, self._since_s = None, 0, 0.0

    def _dump(self) -> Any:
        return [self._reported, None if self._mark is None else self._mark.dump(), self._count, self._since_s]

    def _load(self, state: Any) -> None:
        reported, mark, count, since_s = state
        self._reported = None if reported is None else int(reported)
        self._mark = None if mark is None else Mark.load(mark)
        self._count, self._since_s = int(count), float(since_s)
