"""An object comes into the zone, or appears there."""

from __future__ import annotations

from vedette.contracts.manifest import ZoneEntered
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import Event, Scene
from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.visit_rule import VisitRule
from vedette.core.rules.visits import GRACE_S


class ZoneEnteredMachine(VisitRule):
    """Reports a visit once the object has been inside for ``hold_s``, as of the picture in which it came in.

    A sighting outside before that, and it did not come in. Out for less than ``hold_s`` (1 s where it is 0) later on,
    or unseen and back under the same number, it has not come in again.
    """

    def __init__(self, plan: RulePlan, rule: ZoneEntered) -> None:
        super().__init__(plan, rule, rule.hold_s or GRACE_S)

    def _judge(self, scene: Scene) -> list[Event]:
        if scene.tick.gap_s:
            self._book.gap(scene.tick.gap_s)
        events = []
        for sighting, inside in zip(scene.objects, scene.within(self._zone), strict=True):
            visit = self._book.see(scene, sighting, inside)
            if visit is None or visit.reported:
                continue
            if not inside:
                self._book.end(sighting.track_id)
            elif scene.tick.now_s - visit.since_s >= self._hold_s - SLACK_S:
                visit.reported = True
                if self._armed_at(visit.first.moment):
                    events.append(Event(visit.first.moment, visit.first.objects))
        self._book.tidy(scene.tick.now_s)
        return events
