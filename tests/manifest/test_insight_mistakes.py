"""Mistakes in the section `insights`, each at its place with what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.manifest.test_manifest_mistakes import GOOD
from vedette.adapters.manifest import check_manifest, load_manifest
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.insight import MAX_REPORT_BYTES
from vedette.contracts.manifest import Crossings, HeatMap, Occupancy, Queue
from vedette.core.insights.size import largest_report_bytes
from vedette.core.parameters import with_parameters

BASE = GOOD.partition("rules:")[0]
ZONE = "[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]"


@pytest.fixture
def mistakes(tmp_path: Path) -> Any:
    def run(text: str, base: str = BASE) -> list[tuple[str, str]]:
        (tmp_path / "vedette.yaml").write_text(base + text)
        return [(each.path, each.message) for each in check_manifest(tmp_path)]

    return run


def insight(text: str) -> str:
    return f"insights:\n  it: {{{text}}}\n"


def test_every_type_with_its_defaults(mistakes: Any, tmp_path: Path) -> None:
    text = f"""\
insights:
  entrance: {{type: crossings, line: [[0.8, 0], [0.8, 1]], inward: left_to_right, labels: [person], min_people: 5}}
  floor: {{type: occupancy}}
  counter: {{type: queue, zone: {ZONE}, serving_zone: {ZONE}, min_wait_s: 3}}
  attention: {{type: dwell, zone: {ZONE}}}
  paths: {{type: heat_map, grid: [32, 18], anchor: bottom_center}}
insights_interval_s: 300
insights_file: figures.jsonl
"""
    assert mistakes(text) == []
    manifest = load_manifest(tmp_path)
    assert (manifest.insights_interval_s, manifest.insights_to_cloud) == (300, True)
    assert isinstance(manifest.insights["counter"], Queue)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("type: crowd", "insights.it.type", "found 'crowd'"),
        (f"type: queue, zone: {ZONE}, for_s: 3", "insights.it.for_s", "unknown field"),
        ("type: dwell", "insights.it.zone", "missing"),
        (f"type: dwell, zone: {ZONE}, edges_s: [5, 3]", "insights.it.edges_s", "each edge must be above"),
        ("type: occupancy, labels: [persn]", "insights.it.labels[0]", "does not keep the class 'persn'"),
        ("type: occupancy, cameras: [hal]", "insights.it.cameras[0]", "no camera is called 'hal'"),
        ("type: occupancy, pipeline: mian", "insights.it.pipeline", "no pipeline is called 'mian'"),
        ("type: occupancy, zone: [[0, 0], [1, 1], [1, 0], [0, 1]]", "insights.it.zone", "crosses itself"),
        (
            f"type: queue, zone: {ZONE}, serving_zone: [[0, 0], [0.5, 0.5], [1, 1]]",
            "insights.it.serving_zone",
            "on one line",
        ),
        (
            "type: crossings, line: [[0.5, 0], [0.5, 1]], inward: top_to_bottom",
            "insights.it.inward",
            "a vertical line cannot be crossed top_to_bottom",
        ),
        ("type: occupancy, where: {hat: [red]}", "insights.it.where.hat", "does not tell 'hat'"),
        ("type: heat_map, grid: [500, 2]", "insights.it.grid[0]", "500"),
    ],
)
def test_a_mistake_is_told_at_its_place(mistakes: Any, text: str, path: str, message: str) -> None:
    found = mistakes(insight(text))
    assert [place for place, _ in found] == [path], found
    assert message in found[0][1]


def test_reports_that_no_nucleus_would_take_are_refused(mistakes: Any) -> None:
    (found,) = mistakes(insight("type: heat_map, grid: [128, 72]"))
    assert found[0] == "insights.it"
    assert "could become" in found[1]
    two = "insights:\n  a: {type: heat_map, grid: [48, 27]}\n  b: {type: heat_map}\n"
    (found,) = mistakes(two)
    assert found[0] == "insights.a"


def test_reports_of_two_pipelines_are_two_reports(mistakes: Any) -> None:
    base = BASE + "  other:\n    model: people\n    cameras: [hall]\n"
    two = (
        "insights:\n  a: {type: heat_map, grid: [48, 27], pipeline: main}\n"
        "  b: {type: heat_map, grid: [48, 27], pipeline: other}\n"
    )
    assert mistakes(two, base) == []


@pytest.mark.parametrize("seconds", ["70", "5", "7200", "60.5"])
def test_intervals_divide_an_hour(mistakes: Any, seconds: str) -> None:
    (found,) = mistakes(insight("type: occupancy") + f"insights_interval_s: {seconds}\n")
    assert found[0] == "insights_interval_s"


def test_an_interval_holds_some_pictures(mistakes: Any) -> None:
    base = BASE + "    fps: 0.04\n"
    (found,) = mistakes(insight("type: occupancy"), base)
    assert "fewer than 3 in 60 s" in found[1]
    assert mistakes(insight("type: occupancy") + "insights_interval_s: 300\n", base) == []


def test_figures_for_nobody_are_a_mistake(mistakes: Any) -> None:
    (found,) = mistakes(insight("type: occupancy") + "insights_to_cloud: false\n")
    assert found[0] == "insights_to_cloud"
    assert mistakes(insight("type: occupancy") + "insights_to_cloud: false\ninsights_file: f.jsonl\n") == []


def test_an_application_without_rules_but_with_insights_is_complete(mistakes: Any) -> None:
    assert mistakes(insight("type: occupancy")) == []
    assert "no rule" in mistakes("")[0][1]


def test_the_largest_report_grows_with_what_is_in_it() -> None:
    few = {"a": Occupancy(type="occupancy")}
    more = few | {"b": Crossings(type="crossings", line=((0, 0), (1, 1)))}
    maps = more | {"c": HeatMap(type="heat_map")}
    sizes = [largest_report_bytes(insights, 60) for insights in (few, more, maps)]
    assert sizes == sorted(sizes)
    assert sizes[-1] < largest_report_bytes(maps, 3600) < MAX_REPORT_BYTES


def test_a_parameter_sets_what_an_insight_withholds(mistakes: Any, tmp_path: Path) -> None:
    text = (
        insight("type: occupancy, min_people: 5")
        + "parameters:\n  least: {sets: [insights.it.min_people], min: 3, max: 20}\n"
    )
    assert mistakes(text) == []
    changed = with_parameters(load_manifest(tmp_path), {"least": 8})
    assert changed.insights["it"].min_people == 8
    with pytest.raises(ConfigurationError, match="allowed"):
        with_parameters(load_manifest(tmp_path), {"least": 1})
    (found,) = mistakes(insight("type: heat_map") + "parameters:\n  g: {sets: [insights.it.grid]}\n")
    assert "cannot be set" in found[1]
