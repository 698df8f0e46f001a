"""How many objects are in a zone at a time."""

from __future__ import annotations

from typing import Any

from vedette.contracts.insight import OccupancyValues
from vedette.contracts.manifest import Occupancy
from vedette.core.insights.base import InsightMachine, People
from vedette.core.rules.scene import Scene
from vedette.core.rules.visits import polygon_array


class OccupancyMachine(InsightMachine):
    """The number in each picture, which holds until the next one."""

    def __init__(self, insight: Occupancy) -> None:
        super().__init__(insight)
        self._zone = polygon_array(insight.zone)
        self._here: tuple[int, ...] = ()
        self._people = People()
        self._begin()

    def _begin(self) -> None:
        self._least: int | None = None
        self._most: int | None = None
        self._presence_s = 0.0
        self._occupied_s = 0.0
        self._people.clear()

    def _hold(self, seconds: float) -> None:
        self._count()
        self._presence_s += seconds * len(self._here)
        self._occupied_s += seconds if self._here else 0.0

    def _see(self, scene: Scene) -> None:
        self._here = tuple(
            sighting.track_id
            for sighting, inside in zip(scene.objects, scene.within(self._zone), strict=True)
            if inside
        )
        self._count()

    def _count(self) -> None:
        number = len(self._here)
        self._least = number if self._least is None else min(self._least, number)
        self._most = number if self._most is None else max(self._most, number)
        self._people.add(self._here)

    def _close(self, analysed_s: float) -> OccupancyValues:
        suppressed = self._too_few(len(self._people))
        values = OccupancyValues(
            analysed_s=analysed_s,
            min=self._least,
            mean=round(self._presence_s / self._analysed_s, 3) if self._analysed_s else None,
            max=self._most,
            occupied_s=round(self._occupied_s, 3),
            presence_s=round(self._presence_s, 3),
        )
        self._begin()
        return OccupancyValues(analysed_s=analysed_s, suppressed=True) if suppressed else values

    def _forget(self) -> None:
        self._here = ()

    def _dump(self) -> Any:
        sums = [self._least, self._most, self._presence_s, self._occupied_s]
        return [list(self._here), self._people.dump(), sums]

    def _load(self, state: Any) -> None:
        here, people, (least, most, presence_s, occupied_s) = state
        self._here = tuple(int(number) for number in here)
        self._people.load(people)
        self._least = None if least is None else int(least)
        self._most = None if most is None else int(most)
        self._presence_s, self._occupied_s = float(presence_s), float(occupied_s)
