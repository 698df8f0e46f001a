"""How large a report can become, so that a manifest whose reports no nucleus would take is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from vedette.contracts import manifest
from vedette.contracts.alert import Direction
from vedette.contracts.insight import (
    CELL_UNIT_S,
    CrossingsValues,
    DwellValues,
    HeatMapValues,
    InsightReport,
    InsightValues,
    OccupancyValues,
    QueueValues,
    Waits,
)

#: Most objects of a picture that insights see.
MAX_OBJECTS: Final = 256
_LONGEST_NAME: Final = "n" * 64
_LONGEST_THING: Final = "t" * 128
#: An interval may be longer than its length by this much, where a clock was set back, seconds.
_LONGER_S: Final = 2
#: As many digits as any count or time of an interval needs.
_COUNT: Final = 9_999_999
_SECONDS: Final = 99_999_999.999


def largest_report_bytes(insights: Mapping[str, manifest.Insight], interval_s: int) -> int:
    """Size of the largest report of these insights, which share a pipeline and a camera.

    Every name is taken to be as long as a name may be, and every number as large as an interval allows with
    ``MAX_OBJECTS`` objects in each picture.

    Args:
        insights: by name.
        interval_s: length of the intervals, seconds.
    """
    names = dict.fromkeys(("application", "pipeline", "camera", "device_camera"), _LONGEST_NAME)
    moment = datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC)
    report = InsightReport(
        **names,
        report_id="0" * 32,
        device=_LONGEST_THING,
        start=moment,
        end=moment,
        analysed_s=_SECONDS,
        values={name: _largest(insight) for name, insight in insights.items()},
    )
    text = report_json(report)
    grids = [insight.grid for insight in insights.values() if isinstance(insight, manifest.HeatMap)]
    # In place of the one number that stands for all cells there.
    return len(text) + sum(_largest_cells(columns * rows, interval_s) for columns, rows in grids)


def report_json(report: InsightReport) -> bytes:
    """A report as it is stored and sent."""
    return report.model_dump_json(exclude_none=True).encode()


def _largest(insight: manifest.Insight) -> InsightValues:
    match insight:
        case manifest.Crossings():
            longest = dict.fromkeys((Direction.TOP_TO_BOTTOM, Direction.BOTTOM_TO_TOP), _COUNT)
            return CrossingsValues(analysed_s=_SECONDS, counts=longest, inward=_COUNT, outward=_COUNT)
        case manifest.Occupancy():
            return OccupancyValues(
                analysed_s=_SECONDS, min=_COUNT, mean=_SECONDS, max=_COUNT, occupied_s=_SECONDS, presence_s=_SECONDS
            )
        case manifest.Queue():
            waits = Waits(count=_COUNT, mean_s=_SECONDS, p50_s=_SECONDS, p90_s=_SECONDS, max_s=_SECONDS)
            return QueueValues(
                analysed_s=_SECONDS,
                suppressed=False,
                mean_length=_SECONDS,
                max_length=_COUNT,
                waits=waits,
                left=_COUNT,
                longest_now_s=_SECONDS,
            )
        case manifest.DwellTimes():
            counts = (_COUNT,) * (len(insight.edges_s) + 1)
            return DwellValues(analysed_s=_SECONDS, edges_s=insight.edges_s, counts=counts)
        case manifest.HeatMap():
            columns, rows = insight.grid
            return HeatMapValues(analysed_s=_SECONDS, grid=insight.grid, cells=(-columns * rows,))


def _largest_cells(cells: int, interval_s: int) -> int:
    """Most characters of that many cells, commas included.

    All cells together hold no more than the presence of all objects. Each further digit of a cell costs it ten times
    what it holds, so digits are dealt out evenly, the cheap ones first. A cell of 0 is no longer than one of 1, and a
    run of zeros written as one number is shorter than its zeros.
    """
    left = int(MAX_OBJECTS * (interval_s + _LONGER_S) / CELL_UNIT_S) + cells
    characters, value = 2 * cells, 1
    while left > 0:
        dearer = 9 * value
        affordable = min(cells, left // dearer)
        characters += affordable
        left -= affordable * dearer
        value *= 10
        if affordable < cells:
            break
    return characters
