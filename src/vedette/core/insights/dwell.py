"""How long objects stay in a zone: a histogram of the stays that ended."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from vedette.contracts.insight import DwellValues
from vedette.contracts.manifest import DwellTimes
from vedette.core.insights.base import InsightMachine
from vedette.core.insights.stays import StayBook
from vedette.core.rules.scene import Scene
from vedette.core.rules.visits import GRACE_S, polygon_array


class DwellTimesMachine(InsightMachine):
    """Counts each stay in the interval in which its end became certain."""

    def __init__(self, insight: DwellTimes) -> None:
        super().__init__(insight)
        self._zone = polygon_array(insight.zone)
        self._edges_s = insight.edges_s
        self._stays = StayBook(GRACE_S)
        self._counts = [0] * (len(self._edges_s) + 1)

    def _hold(self, seconds: float) -> None:
        pass

    def _see(self, scene: Scene) -> None:
        for stay in self._stays.see(scene, scene.within(self._zone)):
            self._counts[bisect_right(self._edges_s, stay.seconds)] += 1

    def _close(self, analysed_s: float) -> DwellValues:
        counts, self._counts = self._counts, [0] * len(self._counts)
        if self._too_few(sum(counts)):
            return DwellValues(analysed_s=analysed_s, suppressed=True, edges_s=self._edges_s)
        return DwellValues(analysed_s=analysed_s, edges_s=self._edges_s, counts=tuple(counts))

    def _forget(self) -> None:
        self._stays.clear()

    def _dump(self) -> Any:
        return [self._counts, self._stays.dump()]

    def _load(self, state: Any) -> None:
        counts, stays = state
        if len(counts) != len(self._counts):
            raise ValueError(f"{len(counts)} classes saved, {len(self._counts)} wanted")
        self._counts = [int(count) for count in counts]
        self._stays.load(stays)
