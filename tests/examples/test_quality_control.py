"""The quality-control example over freshly rendered belts that its model was not trained on: every part, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.expected import EXAMPLES
from vedette.adapters.engines.gate import check_model
from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.application_tests import load_application_test
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert, Direction
from vedette.contracts.application_test import ApplicationTest
from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest
from vedette.core.application_tests.compare import compare
from vedette.testing.belt import BeltSettings, BeltTruth, Label, make_truth
from vedette.testing.belt.footage import render

FOLDER = EXAMPLES / "quality_control"
#: The rule speaks of the first analysed picture beyond the line: up to a tenth of a second after the part was there.
LATE_S = 0.12

pytestmark = pytest.mark.slow


def application() -> Manifest:
    return with_resolved_models(load_manifest(FOLDER / "vedette.yaml"), FOLDER, ModelStore(FOLDER / "no store"))


def expected() -> tuple[ApplicationTest, BeltSettings]:
    test = load_application_test(FOLDER / "tests" / "belt.yaml", load_manifest(FOLDER))
    belt = test.clips["belt"].belt
    assert belt is not None
    return test, BeltSettings(**belt.model_dump())


def alerts_over(settings: BeltSettings, folder: Path) -> list[Alert]:
    video = folder / "belt.mp4"
    render(settings, video)
    camera = CameraConfig(name="belt", url=str(video))
    return list(Backtest(application(), FOLDER, [camera], {"belt": ("belt",)}).alerts())


def assert_every_part_is_right(truth: BeltTruth, alerts: list[Alert]) -> None:
    """Exactly one alert for each defective part, at its time, by its name, on its box; none for any other."""
    left = list(alerts)
    for part in truth.parts:
        mine = [a for a in left if -0.01 <= a.media_time_s - part.line_s <= LATE_S]
        if not part.defective:
            assert mine == [], f"part {part.number} is good"
            continue
        assert len(mine) == 1, f"part {part.number}: {part.label.value}, at {part.line_s:.2f} s"
        (alert,) = mine
        left.remove(alert)
        assert alert.label == part.label.value
        assert alert.direction is Direction.LEFT_TO_RIGHT
        assert part.box_at(alert.media_time_s) == pytest.approx(alert.boxes[0], abs=6.0)
    assert left == []


@pytest.mark.parametrize("more_runs", [0, pytest.param(1, marks=pytest.mark.faults)])
def test_the_fixed_belt_gives_the_expected_alerts_on_every_run(more_runs: int, tmp_path: Path) -> None:
    test, settings = expected()
    alerts = alerts_over(settings, tmp_path)
    verdict = compare(test, alerts)
    assert verdict.passed, verdict
    assert_every_part_is_right(make_truth(settings), alerts)
    for _ in range(more_runs):
        again = Backtest(
            application(), FOLDER, [CameraConfig(name="belt", url=str(tmp_path / "belt.mp4"))], {"belt": ("belt",)}
        )
        assert [alert.model_dump_json() for alert in again.alerts()] == [alert.model_dump_json() for alert in alerts]


@pytest.mark.parametrize("seed", [301, pytest.param(302, marks=pytest.mark.faults)])
def test_belts_never_seen_before(seed: int, tmp_path: Path) -> None:
    settings = BeltSettings(seed=seed, duration_s=40, defective=0.6)
    truth = make_truth(settings)
    assert {part.label for part in truth.parts} == set(Label)
    assert_every_part_is_right(truth, alerts_over(settings, tmp_path))


def test_the_expected_alerts_are_the_truth_of_the_renderer() -> None:
    test, settings = expected()
    truth = [(part.line_s + 0.05, part.label.value) for part in make_truth(settings).parts if part.defective]
    assert [(alert.at_s, alert.label) for alert in test.alerts] == [(round(at_s, 2), label) for at_s, label in truth]


def test_the_model_passes_the_gate_and_is_small() -> None:
    model = application().models["parts"]
    data = Path(model.file).read_bytes()
    assert len(data) <= 2_000_000
    report = check_model(data, model)
    assert report.input_size == (640, 360)
    assert tuple(model.labels) == tuple(label.value for label in Label)


def test_the_model_card_is_about_this_model() -> None:
    import hashlib

    digest = hashlib.sha256((FOLDER / "parts.onnx").read_bytes()).hexdigest()
    assert digest in (FOLDER / "MODEL_CARD.md").read_text()
    assert expected()[1].seed < 1000
