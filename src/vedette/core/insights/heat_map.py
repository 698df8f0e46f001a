"""Where objects are: seconds of presence in each cell of a grid."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from vedette.contracts.insight import CELL_UNIT_S, HeatMapValues, pack_cells
from vedette.contracts.manifest import HeatMap
from vedette.core.insights.base import InsightMachine, People
from vedette.core.rules.scene import Scene

#: What is left of a cell below this is nothing, seconds: sums of time steps carry rounding errors.
_DUST_S: Final = 1e-9


class HeatMapMachine(InsightMachine):
    """Each object is in the cell of its anchor point until the next picture; outside the picture, in the nearest one.

    Cells are reported in whole tenths of a second; the rest of a cell is kept for the next interval, so that nothing
    is lost over many of them.
    """

    def __init__(self, insight: HeatMap) -> None:
        super().__init__(insight)
        self._grid = insight.grid
        self._here: tuple[int, ...] = ()  # one cell per object
        self._numbers: tuple[int, ...] = ()  # the same objects' track numbers
        self._cells: dict[int, float] = {}
        self._people = People()

    def _hold(self, seconds: float) -> None:
        self._people.add(self._numbers)
        for cell in self._here:
            self._cells[cell] = self._cells.get(cell, 0.0) + seconds

    def _see(self, scene: Scene) -> None:
        columns, rows = self._grid
        points = scene.points * (columns, rows)
        column = np.clip(points[:, 0].astype(np.int64), 0, columns - 1)
        row = np.clip(points[:, 1].astype(np.int64), 0, rows - 1)
        self._here = tuple(int(cell) for cell in row * columns + column)
        self._numbers = tuple(sighting.track_id for sighting in scene.objects)

    def _close(self, analysed_s: float) -> HeatMapValues:
        columns, rows = self._grid
        suppressed = self._too_few(len(self._people))
        whole = {cell: int((seconds + _DUST_S) / CELL_UNIT_S) for cell, seconds in self._cells.items()}
        rest = {cell: seconds - whole[cell] * CELL_UNIT_S for cell, seconds in self._cells.items()}
        self._cells = {} if suppressed else {cell: left for cell, left in rest.items() if left > _DUST_S}
        self._people.clear()
        if suppressed:
            return HeatMapValues(analysed_s=analysed_s, suppressed=True, grid=self._grid)
        cells = tuple(whole.get(cell, 0) for cell in range(columns * rows))
        return HeatMapValues(analysed_s=analysed_s, grid=self._grid, cells=pack_cells(cells))

    def _forget(self) -> None:
        self._here, self._numbers = (), ()

    def _dump(self) -> Any:
        return [list(self._here), list(self._numbers), self._people.dump(), sorted(self._cells.items())]

    def _load(self, state: Any) -> None:
        here, numbers, people, cells = state
        size = self._grid[0] * self._grid[1]
        self._here = tuple(int(cell) for cell in here)
        self._numbers = tuple(int(number) for number in numbers)
        self._people.load(people)
        self._cells = {int(cell): float(seconds) for cell, seconds in cells}
        if any(not 0 <= cell < size for cell in (*self._here, *self._cells)):
            raise ValueError("a cell outside the grid")
