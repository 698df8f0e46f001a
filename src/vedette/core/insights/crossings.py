"""How many objects went over a line, each way."""

from __future__ import annotations

from typing import Any

from vedette.contracts.alert import Direction
from vedette.contracts.insight import CrossingsValues
from vedette.contracts.manifest import Crossings
from vedette.core.insights.base import InsightMachine, People
from vedette.core.rules.lines import LineBook
from vedette.core.rules.scene import Scene


class CrossingsMachine(InsightMachine):
    """Counts what the rule ``line_crossed`` would report, in the interval in which it became certain."""

    def __init__(self, insight: Crossings) -> None:
        super().__init__(insight)
        self._inward = insight.inward
        self._book = LineBook(insight.line, insight.hysteresis, 0.0, insight.inward)
        self._counts: dict[Direction, int] = dict.fromkeys(self._book.directions, 0)
        self._people = People()

    def _hold(self, seconds: float) -> None:
        pass

    def _see(self, scene: Scene) -> None:
        for mark, direction in self._book.see(scene):
            self._counts[direction] += 1
            self._people.add(sighting.track_id for sighting in mark.objects)

    def _close(self, analysed_s: float) -> CrossingsValues:
        counts, suppressed = self._counts, self._too_few(len(self._people))
        self._counts = dict.fromkeys(counts, 0)
        self._people.clear()
        if suppressed:
            return CrossingsValues(analysed_s=analysed_s, suppressed=True)
        if self._inward is None:
            return CrossingsValues(analysed_s=analysed_s, counts=counts)
        inward = counts[self._inward]
        return CrossingsValues(
            analysed_s=analysed_s, counts=counts, inward=inward, outward=sum(counts.values()) - inward
        )

    def _forget(self) -> None:
        self._book.clear()

    def _dump(self) -> Any:
        counts = {direction.value: number for direction, number in self._counts.items()}
        return [counts, self._people.dump(), self._book.dump()]

    def _load(self, state: Any) -> None:
        counts, people, book = state
        self._counts = {direction: int(counts[direction.value]) for direction in self._counts}
        self._people.load(people)
        self._book.load(book)
