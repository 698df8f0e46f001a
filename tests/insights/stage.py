"""Streams for the tests of insights, and what is to be summed over their reports."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.core.stage import PIPELINE, START_WALL_S, batch
from vedette.contracts.insight import (
    CrossingsValues,
    DwellValues,
    HeatMapValues,
    InsightReport,
    OccupancyValues,
    QueueValues,
    unpack_cells,
)
from vedette.contracts.manifest import Insight
from vedette.contracts.plan import InsightPlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.insights.book import InsightBook

ZONE = [[0.4, 0.4], [0.8, 0.4], [0.8, 0.8], [0.4, 0.8]]
TILL = [[0.8, 0.4], [1.0, 0.4], [1.0, 0.8], [0.8, 0.8]]
LINE = [[0.5, 0.0], [0.5, 1.0]]
_INSIGHT: TypeAdapter[Insight] = TypeAdapter(Insight)

DOCUMENTS: dict[str, dict[str, Any]] = {
    "door": {"type": "crossings", "line": LINE},
    "floor": {"type": "occupancy", "zone": ZONE},
    "everywhere": {"type": "occupancy"},
    "till": {"type": "queue", "zone": ZONE, "serving_zone": TILL, "min_wait_s": 1},
    "line": {"type": "queue", "zone": ZONE, "min_wait_s": 0.5},
    "shelf": {"type": "dwell", "zone": ZONE, "edges_s": [1, 2, 5]},
    "paths": {"type": "heat_map", "grid": [8, 4]},
}


def insight_plan(
    document: dict[str, Any], name: str = "it", *, interval_s: int = 60, camera: str = "cam-1", fps: float = 5.0
) -> InsightPlan:
    """An insight as the plan holds it, from what the manifest would say."""
    return InsightPlan(
        application="app",
        name=name,
        pipeline=PIPELINE,
        camera=camera,
        app_camera="hall",
        insight=_INSIGHT.validate_python(document),
        interval_s=interval_s,
        fps=fps,
    )


def book(interval_s: int = 60, documents: dict[str, dict[str, Any]] | None = None, fps: float = 5.0) -> InsightBook:
    """All kinds of insights on one camera."""
    plans = [
        insight_plan(document, name, interval_s=interval_s, fps=fps)
        for name, document in (documents or DOCUMENTS).items()
    ]
    return InsightBook("thing", plans)


def restarted(one: InsightBook, interval_s: int = 60) -> InsightBook:
    """The book of another process that goes on from what this one committed."""
    fresh = book(interval_s)
    fresh.restore(json.loads(json.dumps(one.state(), allow_nan=False)))
    return fresh


def play(on: InsightBook, batches: Iterable[TrackBatch], *, end: bool = True) -> list[InsightReport]:
    """All reports, that of the last interval included."""
    reports = [new.report for each in batches for new in on.take(each)]
    return reports + ([new.report for new in on.finish()] if end else [])


def analysed_steps(batches: Sequence[TrackBatch], limit_s: float = 1.0) -> list[tuple[TrackBatch, float]]:
    """Each batch with the analysed time after it, by the definition in the documentation: no gap, no clock."""
    steps = []
    for here, there in pairwise(batches):
        step_s = there.frame.t_s - here.frame.t_s
        steps.append((here, step_s if 0 <= step_s <= limit_s + 1e-6 else 0.0))
    return steps


class Totals:
    """Sums over the reports of a stream."""

    def __init__(self, reports: Iterable[InsightReport]) -> None:
        self.analysed_s = 0.0
        self.presence_s: defaultdict[str, float] = defaultdict(float)
        self.occupied_s: defaultdict[str, float] = defaultdict(float)
        self.most: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self.cells_s: defaultdict[int, float] = defaultdict(float)
        for report in reports:
            self.analysed_s += report.analysed_s
            for name, values in report.values.items():
                self._add(name, values)

    def _add(self, name: str, values: object) -> None:
        match values:
            case CrossingsValues(counts=dict() as counts):
                self.counts.update({f"{name} {direction}": number for direction, number in counts.items()})
            case OccupancyValues():
                self.presence_s[name] += values.presence_s or 0.0
                self.occupied_s[name] += values.occupied_s or 0.0
                self.most[name] = max(self.most.get(name, 0), values.max or 0)
            case QueueValues():
                self.presence_s[name] += (values.mean_length or 0.0) * values.analysed_s
                self.most[name] = max(self.most.get(name, 0), values.max_length or 0)
                self.counts[f"{name} served"] += values.waits.count if values.waits else 0
                self.counts[f"{name} left"] += values.left or 0
            case DwellValues(counts=tuple() as classes):
                self.counts.update({f"{name} {index}": number for index, number in enumerate(classes)})
            case HeatMapValues(cells=tuple() as cells):
                for index, cell in enumerate(unpack_cells(cells)):
                    self.cells_s[index] += cell * 0.1


coordinate = st.sampled_from([0.2, 0.45, 0.495, 0.51, 0.6, 0.79, 0.9])
picture = st.tuples(
    st.sampled_from([0.2, 0.2, 0.2, 0.2, 0.3, 0.9, 1.5, 4.0, 70.0]),
    st.dictionaries(st.integers(1, 4), st.tuples(coordinate, st.sampled_from([0.3, 0.6])), max_size=4),
)
leap = st.sampled_from([0.0] * 8 + [-7200.0, -90.0, -1.5, 1.5, 30.0, 90_000.0, 1e9])


@st.composite
def streams(draw: st.DrawFn, *, leaps: bool = False) -> list[TrackBatch]:
    """A stream in which things stay for a while, with gaps and new epochs; with ``leaps``, the wall clock is set."""
    t_s, index, batches = 100.0, 0, []
    offset_s = draw(st.sampled_from([0.0, 17.3, 59.95]))
    for step_s, places in draw(st.lists(picture, min_size=1, max_size=14)):
        epoch = f"e{draw(st.integers(0, 1))}" if step_s > 1 else "e"
        offset_s += draw(leap) if leaps else 0.0
        for repeat in range(draw(st.integers(1, 12))):
            t_s += step_s if repeat == 0 else 0.2
            wall_s = START_WALL_S + t_s + offset_s
            batches.append(batch(t_s, places, frame_no=index, epoch=epoch, wall_s=wall_s))
            index += 1
    return batches
