"""A process that replaces a killed one does not try again what ran well; what ended its process soon is tried again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.inference.test_inference_service import RECTANGLE, Device, started, wait
from vedette.compose.gate_memory import trial_mark
from vedette.contracts.manifest import Model, ModelFamily
from vedette.testing import models


def test_a_mark_depends_on_the_file_and_on_what_the_manifest_says() -> None:
    model = Model(family=ModelFamily.YOLOX, file="a.onnx")
    marks = {
        trial_mark(b"a", model),
        trial_mark(b"b", model),
        trial_mark(b"a", model.model_copy(update={"min_confidence": 0.9})),
    }
    assert len(marks) == 3
    assert trial_mark(b"a", model) in marks


@pytest.fixture
def device(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY / 'components'}")
    with started(Device(short_tmp / "s")) as device:
        yield device


def kill(device: Device, restarts: int) -> None:
    os.kill(device.service.pids()["m"], signal.SIGKILL)
    wait(lambda: device.state("m")["restarts"] == restarts)


@pytest.mark.processes
def test_what_ran_well_is_not_tried_again_and_only_once(device: Device) -> None:
    """The model is one that the trial refuses, so it is told apart whether there was one."""
    plan = device.model("m", models.bright_rectangle(fault=models.nan_always))
    device.plan(plan)
    assert device.until_state("m", "FAILED")["code"] == "V304"
    mark = trial_mark(Path(plan.file).read_bytes(), plan.model)
    device.service._on_message("m", {"passed": mark, "run_s": 0.01})
    kill(device, 1)
    device.until_state("m", "RUNNING")
    kill(device, 2)
    assert device.until_state("m", "FAILED")["code"] == "V304"


@pytest.mark.processes
def test_another_file_is_tried(device: Device) -> None:
    plan = device.model("m", models.bright_rectangle(fault=models.nan_always))
    device.plan(plan)
    device.until_state("m", "FAILED")
    device.service._on_message("m", {"passed": trial_mark(b"another", plan.model), "run_s": 0.01})
    kill(device, 1)
    assert device.until_state("m", "FAILED")["code"] == "V304"


@pytest.mark.processes
def test_a_process_that_runs_well_tells_so_and_is_replaced_without_a_trial(device: Device) -> None:
    camera = device.camera()
    plan = device.model("m", models.bright_rectangle())
    device.plan(plan)
    device.until_state("m", "RUNNING")
    known = device.service._passed
    wait(lambda: "m" in known, 30)
    assert known["m"]["passed"] == trial_mark(Path(plan.file).read_bytes(), plan.model)
    assert known["m"]["passed_run_s"] > 0
    kill(device, 1)
    device.until_state("m", "RUNNING")
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 3)
    assert "m" not in known
