"""An object that was in the zone is outside, or gone."""

from __future__ import annotations

from typing import Final

from vedette.contracts.manifest import ZoneLeft
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import Event, Mark, Scene
from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.visit_rule import VisitRule
from vedette.core.rules.visits import GRACE_S, Visit

#: How long an object must be unseen to be gone, where ``hold_s`` does not say, seconds: as long as a tracker keeps
#: its number by default, so that someone hidden for a moment has not left.
GONE_S: Final = 3.0


class ZoneLeftMachine(VisitRule):
    """Reports the end of a visit that had lasted ``hold_s``.

    Seen outside for ``hold_s``: as of the first picture outside. Unseen for ``hold_s`` (3 s where it is 0) of
    analysed time: as of the last picture in which it was inside. Nothing is said of an object that vanished in a gap
    unless it is seen again. Back inside within a second after its leaving was reported, it must stay for a second
    before it can leave again, so that one who stands on the edge of the zone is reported once.
    """

    def __init__(self, plan: RulePlan, rule: ZoneLeft) -> None:
        super().__init__(plan, rule, float("inf"))
        self._gone_s = rule.hold_s or GONE_S

    def _judge(self, scene: Scene) -> list[Event]:
        now_s = scene.tick.now_s
        if scene.tick.gap_s:
            self._book.gap(scene.tick.gap_s)
        events: list[Event] = []
        for sighting, inside in zip(scene.objects, scene.within(self._zone), strict=True):
            before = self._book.visits.get(sighting.track_id)
            left_s = before.outside_s if before is not None and before.reported else None
            if left_s is not None and inside:
                self._book.end(sighting.track_id)
            visit = self._book.see(scene, sighting, inside)
            if visit is None or (visit.reported and visit.outside_s is not None):
                continue
            if inside:
                self._stay(visit, now_s, returned=left_s is not None and now_s - left_s < GRACE_S)
            else:
                self._leave(sighting.track_id, visit, now_s, self._hold_s, events)
        for track_id, visit in self._book.unseen(scene):
            if visit.owed_s or visit.reported:
                continue
            if visit.outside_s is not None:
                self._leave(track_id, visit, now_s, self._hold_s, events)
            elif now_s - visit.seen_s >= self._gone_s - SLACK_S:
                self._report(visit.last, visit, events)
                self._book.end(track_id)
        self._book.tidy(now_s)
        return events

    def _stay(self, visit: Visit, now_s: float, *, returned: bool) -> None:
        """Note an object inside; settled, it has something to leave."""
        if returned:
            visit.reported, visit.settled = True, False
        elif not visit.settled:
            wanted_s = max(self._hold_s, GRACE_S if visit.reported else 0.0)
            visit.settled = now_s - visit.since_s >= wanted_s - SLACK_S
            visit.reported = visit.reported and not visit.settled

    def _leave(self, track_id: int, visit: Visit, now_s: float, hold_s: float, events: list[Event]) -> None:
        """Note an object outside."""
        if not visit.settled:
            if visit.reported:
                visit.outside_s = now_s
            else:
                self._book.end(track_id)
        elif visit.outside_s is not None and visit.out is not None and now_s - visit.outside_s >= hold_s - SLACK_S:
            visit.reported = True
            self._report(visit.out, visit, events)

    def _report(self, mark: Mark, visit: Visit, events: list[Event]) -> None:
        if visit.settled and self._armed_at(mark.moment):
            events.append(Event(mark.moment, mark.objects))
