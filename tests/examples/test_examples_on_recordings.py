"""Each example over its recordings reports what a person saw there, with both model families."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.examples.expected import EXAMPLES
from vedette.adapters.models.store import ModelStore
from vedette.cli.application_tests import AppUnderTest, Case, find_cases, judge, run_case
from vedette.contracts.alert import Alert

MODELS = {
    "yolox": ("yolox_nano.onnx", ()),
    "detr": (
        "deimv2_hgnetv2_femto_coco.onnx",
        ("models.objects.family=detr", "models.objects.file=deimv2_hgnetv2_femto_coco"),
    ),
}

pytestmark = [pytest.mark.footage, pytest.mark.slow]


def prepared(example: str, family: str, data: Path, home: Path) -> tuple[AppUnderTest, list[Case]]:
    """An example with a model, and its tests with their recordings."""
    file, overrides = MODELS[family]
    store = ModelStore(home)
    store.add_file(data / "models" / file)
    application = AppUnderTest.load(EXAMPLES / example, overrides, store=store)
    cases = find_cases(application, [data / "videos"])
    assert cases
    assert [case.lacking for case in cases] == [""] * len(cases)
    return application, cases


def backtest(example: str, family: str, data: Path, home: Path, cameras: list[str] | None = None) -> list[Alert]:
    """All alerts of an example over its recordings."""
    application, cases = prepared(example, family, data, home)
    clips = {name: path for name, path in cases[0].clips.items() if cameras is None or name in cameras}
    return run_case(application, replace(cases[0], clips=clips))


@pytest.mark.parametrize("family", ["yolox", pytest.param("detr", marks=pytest.mark.faults)])
def test_site_watch_reports_what_a_person_saw(family: str, shared_data: Path, tmp_path: Path) -> None:
    application, cases = prepared("site_watch", family, shared_data, tmp_path)
    alerts = run_case(application, cases[0])
    verdict = judge(cases[0], alerts)
    assert (verdict.misses, verdict.extras) == ((), ())
    assert len(verdict.matches) == len(cases[0].test.alerts) == 25
    assert len({alert.alert_id for alert in alerts}) == len(alerts)


@pytest.mark.parametrize("runs", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_people_flow_reports_what_a_person_saw_on_every_run(runs: int, shared_data: Path, tmp_path: Path) -> None:
    application, cases = prepared("people_flow", "yolox", shared_data, tmp_path)
    first, *more = (run_case(application, cases[0]) for _ in range(runs))
    assert judge(cases[0], first).passed
    for again in more:
        assert [alert.model_dump_json() for alert in first] == [alert.model_dump_json() for alert in again]
