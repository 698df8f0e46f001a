"""A shop in figures: the reports say what a person saw in the recordings, and hold nothing about anybody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.examples.expected import EXAMPLES
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.application_tests import AppUnderTest, find_cases, judge
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert
from vedette.contracts.insight import (
    MAX_REPORT_BYTES,
    CrossingsValues,
    DwellValues,
    HeatMapValues,
    InsightReport,
    OccupancyValues,
    QueueValues,
    unpack_cells,
)
from vedette.contracts.manifest import Manifest, Occupancy, Queue, Rule
from vedette.core.insights.size import report_json
from vedette.local.camera_arguments import parse_camera_arguments

pytestmark = [pytest.mark.footage, pytest.mark.slow]

FOLDER = EXAMPLES / "retail_analytics"
PATH = FOLDER / "vedette.yaml"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
MODEL = "deimv2_hgnetv2_femto_coco.onnx"


@dataclass(frozen=True)
class Seen:
    """One backtest of the example, with rules besides its own that tell what was there when."""

    alerts: list[Alert]
    reports: list[InsightReport]

    def of(self, camera: str) -> list[InsightReport]:
        return [report for report in self.reports if report.camera == camera]

    def values(self, camera: str, name: str) -> list[Any]:
        return [report.values[name] for report in self.of(camera)]

    def counts_around(self, rule: str, time_s: float, within_s: float = 1.0) -> list[int]:
        """Numbers a `count_changed` rule told of around a time, five a second."""
        changes = [(alert.media_time_s, alert.count or 0) for alert in self.alerts if alert.rule == rule]
        times = [time_s + step * 0.2 for step in range(round(-within_s * 5), round(within_s * 5) + 1)]
        told = [[count for at_s, count in changes if at_s <= each + 1e-6] for each in times if each >= changes[1][0]]
        return [before[-1] for before in told]


def watchers(manifest: Manifest) -> dict[str, Rule]:
    counter, staff = manifest.insights["counter"], manifest.insights["staff"]
    assert isinstance(counter, Queue)
    assert isinstance(staff, Occupancy)
    documents: dict[str, dict[str, Any]] = {
        "in-sight": {"type": "count_changed", "pipeline": "floor"},
        "at-counter": {"type": "count_changed", "pipeline": "floor", "zone": counter.zone, "hold_s": 0.4},
        "at-register": {
            "type": "zone_occupied",
            "pipeline": "floor",
            "zone": staff.zone,
            "anchor": "center",
            "for_s": 19,
        },
    }
    return {name: TypeAdapter[Rule](Rule).validate_python(document) for name, document in documents.items()}


@pytest.fixture(scope="module")
def seen(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    store = ModelStore(tmp_path_factory.mktemp("models"))
    store.add_file(shared_data / "models" / MODEL)
    manifest = with_resolved_models(load_manifest(PATH), PATH.parent, store)
    manifest = manifest.model_copy(update={"rules": {**manifest.rules, **watchers(manifest)}})
    for entry in EXPECTED["recordings"].values():
        digest = hashlib.sha256((shared_data / "videos" / entry["file"]).read_bytes()).hexdigest()
        assert digest == entry["sha256"], f"{entry['file']} is not the recording the facts are about"
    cameras = [f"{name}={shared_data / 'videos' / entry['file']}" for name, entry in EXPECTED["recordings"].items()]
    arguments = parse_camera_arguments(manifest, cameras)
    test = Backtest(manifest, PATH.parent, arguments.cameras, dict(arguments.bindings))
    reports: list[InsightReport] = []
    return Seen(list(test.alerts(None, reports.append)), reports)


def facts(shared_data: Path, camera: str) -> dict[str, dict[str, Any]]:
    """What was checked by eye in a camera's recording, by name."""
    file = shared_data / "facts" / f"{EXPECTED['recordings'][camera]['file']}.facts.json"
    return {fact["id"]: fact for fact in json.loads(file.read_text())["facts"]}


def summed(reports: Iterable[InsightReport]) -> dict[str, Any]:
    """The reports of one camera as one, in the shape of `expected.json`."""
    total: dict[str, Any] = {"analysed_s": 0.0}
    for report in reports:
        total["analysed_s"] += report.analysed_s
        for name, values in report.values.items():
            own = total.setdefault(name, {})
            match values:
                case CrossingsValues():
                    own["inward"] = own.get("inward", 0) + (values.inward or 0)
                    own["outward"] = own.get("outward", 0) + (values.outward or 0)
                case DwellValues(counts=tuple() as counts):
                    own["counts"] = [a + b for a, b in zip(own.get("counts", [0] * 5), counts, strict=True)]
                case _:  # these recordings are shorter than an interval
                    assert not own
                    own.update(values.model_dump(exclude_none=True))
    return total


def check(wanted: Any, got: Any, where: str) -> list[str]:
    if isinstance(wanted, dict):
        return [text for key, value in wanted.items() for text in check(value, got[key], f"{where}.{key}")]
    if isinstance(wanted, list) and not isinstance(got, list | tuple):
        low, high = wanted
        return [] if low <= got <= high else [f"{where}: {got} is not from {low} to {high}"]
    return [] if list(got) == wanted else [f"{where}: {got}, expected {wanted}"]


def test_the_example_reports_what_it_says(seen: Seen) -> None:
    for camera, wanted in EXPECTED["insights"].items():
        assert check(wanted, summed(seen.of(camera)), camera) == []


def test_a_long_line_is_reported_on_the_device(seen: Seen, shared_data: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.add_file(shared_data / "models" / MODEL)
    (case,) = find_cases(AppUnderTest.load(FOLDER, store=store), [shared_data / "videos"])
    assert {name: clip.sha256 for name, clip in case.test.clips.items()} == {
        name: entry["sha256"] for name, entry in EXPECTED["recordings"].items()
    }
    verdict = judge(case, [alert for alert in seen.alerts if alert.rule == "long-line"])
    assert (verdict.misses, verdict.extras) == ((), ())


def test_as_many_people_as_a_person_counted(seen: Seen, shared_data: Path) -> None:
    fact = facts(shared_data, "shop")["persons_at"]
    for time_s, people in fact["value"].items():
        counted = median(seen.counts_around("in-sight", float(time_s)))
        assert abs(counted - people) <= fact["tolerance"], f"at {time_s} s: {counted}, by eye {people}"
    mean = sum(fact["value"].values()) / len(fact["value"])
    (floor,) = seen.values("shop", "shop-floor")
    assert isinstance(floor, OccupancyValues)
    assert floor.mean == pytest.approx(mean, abs=fact["tolerance"])


def test_one_person_is_at_the_register_all_the_time(seen: Seen, shared_data: Path) -> None:
    fact = facts(shared_data, "shop")["staff_zone"]
    staff = load_manifest(PATH).insights["staff"]
    assert isinstance(staff, Occupancy)
    assert staff.zone == tuple(tuple(point) for point in fact["zone"])
    assert staff.anchor.value == "center"
    (values,) = seen.values("shop", "staff")
    assert values.occupied_s >= values.analysed_s - 0.3, "from the second picture on: a track needs two"
    assert values.mean == pytest.approx(1.0, abs=0.3)
    (alert,) = [alert for alert in seen.alerts if alert.rule == "at-register"]
    assert alert.media_time_s <= 19.6


def test_three_people_are_in_line_and_one_of_them_leaves(seen: Seen, shared_data: Path) -> None:
    known = facts(shared_data, "shop")
    (time_s,) = known["counter_queue_at"]["value"]
    assert "(3)" in known["counter_queue_at"]["value"][time_s]
    assert median(seen.counts_around("at-counter", float(time_s), 0.4)) == 3
    (values,) = seen.values("shop", "counter")
    assert isinstance(values, QueueValues)
    assert values.max_length == 3
    # The customer in the white jacket, there from the first picture to 15.0 s, gone at 16.4 s.
    assert "gone at 16.4 s" in known["white_jacket_customer"]["value"]
    assert values.waits is not None
    assert values.waits.count == 1
    assert 15.0 - 1.0 <= (values.waits.max_s or 0.0) <= 16.4 + 0.5


def test_nobody_is_where_nobody_ever_is(seen: Seen, shared_data: Path) -> None:
    zone = facts(shared_data, "shop")["empty_zone"]["zone"]
    insight = load_manifest(PATH).insights["behind-chairs"]
    assert isinstance(insight, Occupancy)
    assert insight.zone == tuple(tuple(point) for point in zone)
    (values,) = seen.values("shop", "behind-chairs")
    assert (values.max, values.presence_s) == (0, 0.0)


def test_everybody_who_leaves_by_the_door_is_counted_in_their_minute(seen: Seen, shared_data: Path) -> None:
    fact = facts(shared_data, "door")["line_x0.80_left_to_right"]
    by_minute = [0, 0, 0]
    for time_s in fact["times_s"]:
        by_minute[int(time_s // 60)] += 1
    values = seen.values("door", "visitors")
    assert [each.outward for each in values] == by_minute
    assert [each.inward for each in values] == [0, 0, 0]


def test_stays_at_the_display_are_those_that_were_seen(seen: Seen, shared_data: Path) -> None:
    fact = facts(shared_data, "door")["zone_table_dwell_s"]
    wanted = [0] * 5
    for from_s, to_s in fact["value"]:
        stayed_s = to_s - from_s
        edges = [5, 10, 30, 60]
        assert min(abs(stayed_s - edge) for edge in edges) > fact["tolerance_s"], "too near to an edge to tell"
        wanted[sum(stayed_s >= edge for edge in edges)] += 1
    assert [sum(each) for each in zip(*(v.counts for v in seen.values("door", "display")), strict=True)] == wanted


def test_the_heat_map_is_where_people_are(seen: Seen) -> None:
    (values,) = seen.values("shop", "paths")
    (floor,) = seen.values("shop", "shop-floor")
    assert isinstance(values, HeatMapValues)
    assert values.cells is not None
    cells = unpack_cells(values.cells)
    assert sum(cells) * 0.1 == pytest.approx(floor.presence_s, abs=0.1 * sum(cell > 0 for cell in cells) + 0.1)
    columns, rows = values.grid
    packed_goods = [cells[row * columns + column] for row in range(12, rows) for column in range(17, columns)]
    assert sum(packed_goods) * 0.1 < 2.0, "nobody stands behind the chairs"


def test_nothing_but_figures_leaves(seen: Seen) -> None:
    manifest = load_manifest(PATH)
    assert manifest.insights_to_cloud
    assert {action.type for action in manifest.actions.values()} == {"file"}
    for report in seen.reports:
        text = report_json(report)
        assert len(text) <= MAX_REPORT_BYTES
        for word in (b"track", b"box", b"image", b"picture", b"score", b"confidence"):
            assert word not in text
