"""One and the same object has been in the zone for a time; once per visit."""

from __future__ import annotations

from vedette.contracts.manifest import Dwell
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import Event, Scene
from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.visit_rule import VisitRule
from vedette.core.rules.visits import GRACE_S


class DwellMachine(VisitRule):
    """Reports a visit in the picture in which it has lasted ``for_s``.

    Outside for less than ``hold_s`` (1 s where it is 0) is the same visit; unseen and back in the zone under the same
    number is, too, however long the detector or the stream was out.
    """

    def __init__(self, plan: RulePlan, rule: Dwell) -> None:
        super().__init__(plan, rule, rule.hold_s or GRACE_S)
        self._for_s = rule.for_s - SLACK_S

    def _judge(self, scene: Scene) -> list[Event]:
        if scene.tick.gap_s:
            self._book.gap(scene.tick.gap_s)
        events = []
        for sighting, inside in zip(scene.objects, scene.within(self._zone), strict=True):
            visit = self._book.see(scene, sighting, inside)
            if visit is None or not inside or visit.reported or not scene.armed:
                continue
            stayed_s = scene.tick.now_s - visit.since_s
            if stayed_s >= self._for_s:
                visit.reported = True
                events.append(Event(scene.moment, (sighting,), duration_s=stayed_s))
        self._book.tidy(scene.tick.now_s)
        return events
