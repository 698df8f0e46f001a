"""How many objects wait in a zone, and how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from vedette.contracts.insight import QueueValues, Waits
from vedette.contracts.manifest import Queue
from vedette.core.insights.base import InsightMachine, People
from vedette.core.insights.stays import StayBook
from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.scene import Scene
from vedette.core.rules.visits import GRACE_S, polygon_array

#: Time from leaving the queue's zone to reaching the serving zone, at most, seconds.
REACH_S: Final = 5.0
#: Who has not been seen for so long, of analysed time, is not counted among those who wait, seconds.
MISSED_S: Final = 1.0
#: Waiting times of an interval that percentiles are taken from; the others only count.
MAX_WAITS: Final = 1024


class QueueMachine(InsightMachine):
    """An object waits from ``min_wait_s`` in the queue's zone on; its waiting time counts from its first picture there.

    Where there is a serving zone, the wait ends in the first picture in it, and one who leaves without getting there
    within ``REACH_S`` has left unserved. Where there is none, whoever leaves was served.
    """

    def __init__(self, insight: Queue) -> None:
        super().__init__(insight)
        self._zone = polygon_array(insight.zone)
        self._serving = polygon_array(insight.serving_zone)
        self._least_s = insight.min_wait_s - SLACK_S
        self._stays = StayBook(GRACE_S if self._serving is None else REACH_S)
        self._waiting: tuple[int, ...] = ()
        self._longest_s: float | None = None
        self._people = People()
        self._begin()

    def _begin(self) -> None:
        self._length_s = 0.0
        self._most: int | None = None
        self._waits: list[float] = []
        self._served = 0
        self._served_s = 0.0
        self._slowest_s = 0.0
        self._left = 0
        self._people.clear()

    def _hold(self, seconds: float) -> None:
        self._length_s += seconds * len(self._waiting)
        self._count()

    def _count(self) -> None:
        self._most = max(self._most or 0, len(self._waiting))
        self._people.add(self._waiting)

    def _see(self, scene: Scene) -> None:
        now_s = scene.tick.now_s
        inside = scene.within(self._zone)
        serving = [False] * len(inside) if self._serving is None else scene.within(self._serving)
        for stay in self._stays.see(scene, [a and not b for a, b in zip(inside, serving, strict=True)]):
            if stay.seconds >= self._least_s:
                self._end(stay.track_id, stay.seconds, served=self._serving is None)
        for sighting, is_served in zip(scene.objects, serving, strict=True):
            served = self._stays.end(sighting.track_id, now_s) if is_served else None
            if served is not None and served.seconds >= self._least_s:
                self._end(served.track_id, served.seconds, served=True)
        waiting = {
            track_id: now_s - visit.since_s
            for track_id, visit in self._stays.present()
            if now_s - visit.seen_s <= MISSED_S + SLACK_S and now_s - visit.since_s >= self._least_s
        }
        self._waiting = tuple(waiting)
        self._longest_s = max(waiting.values(), default=None)
        self._count()

    def _end(self, track_id: int, seconds: float, *, served: bool) -> None:
        self._people.add((track_id,))
        if not served:
            self._left += 1
            return
        self._served += 1
        self._served_s += seconds
        self._slowest_s = max(self._slowest_s, seconds)
        if len(self._waits) < MAX_WAITS:
            self._waits.append(seconds)

    def _close(self, analysed_s: float) -> QueueValues:
        # Each figure is withheld for the number of those it is about.
        few_waited, few_served = self._too_few(len(self._people)), self._too_few(self._served)
        few_left, few_now = self._too_few(self._left), self._too_few(len(self._waiting))
        measured = self._analysed_s > 0.0
        values = QueueValues(
            analysed_s=analysed_s,
            suppressed=few_waited or few_served or few_left or few_now,
            mean_length=round(self._length_s / self._analysed_s, 3) if measured and not few_waited else None,
            max_length=None if few_waited else self._most,
            waits=None if few_served else self._told_waits(),
            left=None if few_left or self._serving is None else self._left,
            longest_now_s=round(self._longest_s) if self._longest_s is not None and measured and not few_now else None,
        )
        self._begin()
        return values

    def _told_waits(self) -> Waits:
        if not self._served:
            return Waits(count=0)
        return Waits(
            count=self._served,
            mean_s=round(self._served_s / self._served),
            p50_s=round(nearest_rank(self._waits, 0.5)),
            p90_s=round(nearest_rank(self._waits, 0.9)),
            max_s=round(self._slowest_s),
        )

    def _forget(self) -> None:
        self._stays.clear()
        self._waiting, self._longest_s = (), None

    def _dump(self) -> Any:
        sums = [self._length_s, self._most, self._served, self._served_s, self._slowest_s, self._left]
        return [self._stays.dump(), list(self._waiting), self._longest_s, self._people.dump(), sums, self._waits]

    def _load(self, state: Any) -> None:
        stays, waiting, longest_s, people, sums, waits = state
        length_s, most, served, served_s, slowest_s, left = sums
        self._stays.load(stays)
        self._waiting = tuple(int(number) for number in waiting)
        self._longest_s = None if longest_s is None else float(longest_s)
        self._people.load(people)
        self._length_s, self._most = float(length_s), None if most is None else int(most)
        self._served, self._served_s, self._slowest_s = int(served), float(served_s), float(slowest_s)
        self._left = int(left)
        self._waits = [float(seconds) for seconds in waits]


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The least of the values that at least this share of them does not exceed; there must be one."""
    return sorted(values)[max(math.ceil(share * len(values) - SLACK_S) - 1, 0)]
