"""A process that replaces a killed one does not try again what ran well; what ended its process soon is tried again."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Self, cast

import pytest

from tests.conftest import REPOSITORY
from tests.inference.test_inference_service import LABELS, RECTANGLE, Device, started, wait
from vedette.adapters.engines.gate import Gate
from vedette.adapters.models.store import ModelStore
from vedette.adapters.supervision import ChildLink
from vedette.compose import model_process
from vedette.compose.attribute_models import AttributeModels
from vedette.compose.gate_memory import trial_mark
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import DetectorAttribute, Model, ModelFamily, Tracker
from vedette.contracts.plan import AttributePlan, ModelPlan, PipelinePlan
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


def test_models_of_attributes_are_not_tried_again_either(tmp_path: Path) -> None:
    """The model is one that the trial refuses, so it is told apart whether there was one."""
    file = tmp_path / "hats.onnx"
    file.write_bytes(models.bright_rectangle(fault=models.nan_always))
    model = Model(family=ModelFamily.YOLOX, file=str(file), labels=LABELS)
    settings = DetectorAttribute(type="detector", model="hats", classes={"thing": "yes"}, min_confidence=0.8)
    attribute = AttributePlan(name="hat", settings=settings, file=str(file), model=model)
    plan = PipelinePlan(
        application="app", pipeline="p", camera="c", app_camera="c", fps=1, tracker=Tracker(), attributes=(attribute,)
    )

    def loaded(*passed: str) -> AttributeModels:
        attributes = AttributeModels(ModelStore(tmp_path), passed=passed)
        while not attributes.prepare([plan]):
            attributes.wait()
        return attributes

    refused = loaded()
    assert refused.problem is not None
    assert refused.marks == ()
    mark = trial_mark(file.read_bytes(), model.model_copy(update={"min_confidence": 0.8}))
    known = loaded(mark)
    assert known.problem is None
    assert known.marks == (mark,)


PLAN = ModelPlan(
    key="m", file="m.onnx", model=Model(family=ModelFamily.YOLOX, file="m.onnx", labels=LABELS), pipelines=()
)


def make_process(folder: Path, link: SimpleNamespace) -> model_process.ModelProcess:
    """A model's process within this one."""
    link.spec = {"key": "m", "state_directory": str(folder), "model_directory": str(folder), "threads": 1}
    link.restarts, link.reason = 0, ""
    return model_process.ModelProcess(cast(ChildLink, link))


def test_a_process_tries_once_what_it_loads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TensorRT's engine once that is built, or where the journal's disk was full."""
    tried: list[bytes] = []

    class Counted(Gate):
        def start(self) -> Self:
            tried.append(self._data)
            return super().start()

    monkeypatch.setattr(model_process, "Gate", Counted)
    monkeypatch.setattr(model_process, "bound_memory", lambda _: None)
    process = make_process(tmp_path, SimpleNamespace())
    first, second = models.bright_rectangle(), models.bright_rectangle(size=(96, 96))
    for data in (first, first, second):
        process._load_data(data, PLAN)
    assert tried == [first, second]


@pytest.mark.parametrize("good", [b"the version before", None])
def test_what_failed_does_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bytes | None
) -> None:
    class Session:
        pass

    made: list[weakref.ref[Session]] = []
    kept: list[bool] = []

    def look() -> None:
        kept.append(made[0]() is not None)
        link.closed.set()

    def serve() -> None:
        if made:
            return look()
        session = Session()
        made.append(weakref.ref(session))
        process._running, process._good = (PLAN.model, b"bad"), (PLAN.model, good) if good else None
        raise ModelError("returned nonsense.", code="V304")

    link = SimpleNamespace(closed=threading.Event(), beat=lambda *_, **__: look())
    process = make_process(tmp_path, link)
    monkeypatch.setattr(process, "_look_at_plan", lambda: PLAN)
    monkeypatch.setattr(process, "_serve", serve)
    process.run()
    assert kept == [False]


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
    device.service._on_message("m", {"passed": mark, "run_s": 0.01, "parts": []})
    kill(device, 1)
    device.until_state("m", "RUNNING")
    kill(device, 2)
    assert device.until_state("m", "FAILED")["code"] == "V304"


@pytest.mark.processes
def test_another_file_is_tried(device: Device) -> None:
    plan = device.model("m", models.bright_rectangle(fault=models.nan_always))
    device.plan(plan)
    device.until_state("m", "FAILED")
    device.service._on_message("m", {"passed": trial_mark(b"another", plan.model), "run_s": 0.01, "parts": []})
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
