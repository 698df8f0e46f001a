"""Heat maps of many reports as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from vedette.contracts.errors import StorageError
from vedette.contracts.insight import CELL_UNIT_S, HeatMapValues, InsightReport, unpack_cells


@dataclass(frozen=True, slots=True)
class HeatSum:
    """Presence over a stretch of time.

    Attributes:
        insight: its name.
        camera: the application's name of the camera.
        grid: columns, rows.
        seconds: presence in each cell, row by row from the top left.
        analysed_s: of the time between.
        start: of the first report.
        end: of the last report.
        suppressed: reports whose figures were withheld.
    """

    insight: str
    camera: str
    grid: tuple[int, int]
    seconds: tuple[float, ...]
    analysed_s: float
    start: datetime
    end: datetime
    suppressed: int


def sum_heat_maps(reports: Iterable[InsightReport], insight: str | None = None, camera: str | None = None) -> HeatSum:
    """Add up the heat maps of one insight on one camera; a report that is there twice counts once.

    Args:
        reports: in any order.
        insight: its name; not needed where there is one only.
        camera: the application's or the device's name; not needed where there is one only.

    Raises:
        StorageError: V408, there is no such heat map, or it cannot be told which one is meant.
    """
    found: dict[tuple[str, str], list[tuple[InsightReport, HeatMapValues]]] = {}
    for report in {report.report_id: report for report in reports}.values():
        if camera in (None, report.camera, report.device_camera):
            for name, values in report.values.items():
                if isinstance(values, HeatMapValues) and insight in (None, name):
                    found.setdefault((name, report.device_camera), []).append((report, values))
    if len(found) != 1:
        raise _unclear(sorted(found), insight, camera)
    ((name, _),) = found
    maps = next(iter(found.values()))
    grids = sorted({values.grid for _, values in maps})
    if len(grids) > 1:
        raise StorageError(
            f"the reports hold heat maps {name!r} with different grids ({', '.join(f'{c}×{r}' for c, r in grids)}).",
            hint="Name reports of one version of the application.",
            code="V408",
        )
    tenths = [0] * (grids[0][0] * grids[0][1])
    for _, values in maps:
        for index, cell in enumerate(unpack_cells(values.cells) if values.cells is not None else ()):
            tenths[index] += cell
    return HeatSum(
        insight=name,
        camera=maps[0][0].camera,
        grid=grids[0],
        seconds=tuple(cell * CELL_UNIT_S for cell in tenths),
        analysed_s=sum(values.analysed_s for _, values in maps),
        start=min(report.start for report, _ in maps),
        end=max(report.end for report, _ in maps),
        suppressed=sum(values.suppressed for _, values in maps),
    )


def _unclear(found: list[tuple[str, str]], insight: str | None, camera: str | None) -> StorageError:
    wanted = " of ".join(repr(name) for name in (insight, camera) if name is not None)
    if not found:
        return StorageError(
            f"the reports hold no heat map{f' {wanted}' if wanted else ''}.",
            hint="The manifest needs an insight of the type heat_map.",
            code="V408",
        )
    return StorageError(
        f"the reports hold {len(found)} heat maps: {', '.join(f'{name} of {device}' for name, device in found)}.",
        hint="Say which with --insight and --camera.",
        code="V408",
    )
