"""The component's supervisor with real child processes, frame stores and journal."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.engines.pictures import picture
from tests.inference.test_detect_loop import Camera
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.adapters.state.files import read_component_status, write_durably
from vedette.adapters.state.layout import StateLayout
from vedette.compose.inference import InferenceService
from vedette.contracts.manifest import Model, ModelFamily, Tracker
from vedette.contracts.plan import ModelPlan, PipelinePlan, Plan
from vedette.contracts.tracks import TrackBatch
from vedette.testing import models

pytestmark = pytest.mark.processes

LABELS = ("thing", "other")
RECTANGLE = picture(64, 64, (10, 10, 40, 40))
BLACK = picture(64, 64)
WHITE = picture(64, 64, (0, 0, 64, 64))


class FakeBus:
    """Greengrass as far as this component uses it."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.values = configuration
        self.changed: Callable[[], None] = lambda: None
        self.running = threading.Event()
        self.published: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, dict[str, Any]]] = []

    def configuration(self) -> dict[str, Any]:
        return self.values

    def on_configuration_change(self, callback: Callable[[], None]) -> None:
        self.changed = callback

    def publish_local(self, topic: str, message: dict[str, Any]) -> None:
        self.published[topic] = message
        self.history.append((topic, message))

    def subscribe_local(self, topic: str, callback: Callable[[str, dict[str, Any]], None]) -> None: ...
    def publish_cloud(self, topic: str, payload: bytes) -> None: ...
    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None: ...
    def secret(self, name: str) -> dict[str, str]:
        return {}

    def report_running(self) -> None:
        self.running.set()

    def close(self) -> None: ...


class Device:
    """A state directory, cameras, and the inference component."""

    def __init__(self, root: Path) -> None:
        self.layout = StateLayout(root)
        self.layout.create()
        self.bus = FakeBus({"stateDirectory": str(root), "threads": "2", "accessControl": {}})
        self.service = InferenceService(self.bus)
        self.journal = SqliteJournalReader(root / "journal.db")
        self.seen: list[TrackBatch] = []
        self._cursor = 0
        self._revision = 0
        self._thread = threading.Thread(target=self.service.run)

    def start(self) -> None:
        self._thread.start()
        assert self.bus.running.wait(10)

    def stop(self) -> None:
        self.service.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.journal.close()

    def model(self, key: str, data: bytes | None, cameras: tuple[str, ...] = ("cam",), **settings: Any) -> ModelPlan:
        file = self.layout.root / f"{key}.onnx"
        if data is not None:
            file.write_bytes(data)
        model = Model(**{"family": ModelFamily.YOLOX, "file": file.name, "labels": LABELS, **settings})
        pipelines = tuple(
            PipelinePlan(
                application="app",
                pipeline=key,
                camera=camera,
                app_camera=camera,
                fps=50,
                tracker=Tracker(min_hits=1, lost_s=10),
            )
            for camera in cameras
        )
        return ModelPlan(key=key, file=str(file), model=model, pipelines=pipelines)

    def plan(self, *entries: ModelPlan) -> None:
        self._revision += 1
        content = Plan(revision=self._revision, models=entries).model_dump_json().encode()
        write_durably(self.layout.plan, content)

    def camera(self, name: str = "cam", epoch: str = "e1") -> Camera:
        return Camera(self.layout.frames, name, epoch)

    def state(self, key: str) -> dict[str, Any]:
        return self.bus.published.get(f"vedette/inference/{key}", {})

    def until_state(self, key: str, state: str, timeout_s: float = 20) -> dict[str, Any]:
        wait(lambda: self.state(key).get("state") == state, timeout_s, lambda: str(self.bus.published))
        return self.state(key)

    def batches(self) -> list[TrackBatch]:
        self.journal.identity()
        for sequence, batch in self.journal.read(self._cursor, 1000):
            self._cursor = sequence
            assert isinstance(batch, TrackBatch)
            self.seen.append(batch)
        return self.seen

    def shoot_until(
        self, cameras: list[Camera], pictures: list[Any], condition: Callable[[], bool], timeout_s: float = 20
    ) -> None:
        """Show pictures, 20 a second by the clock, until something is so."""
        deadline_s = time.monotonic() + timeout_s
        number = 0
        while not condition():
            assert time.monotonic() < deadline_s, str(self.bus.published)
            for camera in cameras:
                camera.show(pictures[number % len(pictures)], t_s=time.monotonic())
            number += 1
            threading.Event().wait(0.05)


def wait(condition: Callable[[], bool], timeout_s: float = 20, explain: Callable[[], str] = str) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, explain()
        threading.Event().wait(0.01)


@contextmanager
def started(device: Device) -> Iterator[Device]:
    """Stopped at the end, whatever happens."""
    device.start()
    try:
        yield device
    finally:
        device.stop()


@pytest.fixture
def device(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY / 'components'}")
    with started(Device(short_tmp / "s")) as device:
        yield device


def test_from_plan_to_journal(device: Device) -> None:
    camera = device.camera()
    device.plan(device.model("good", models.bright_rectangle()))
    assert device.until_state("good", "RUNNING")["code"] == ""
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 10)
    assert {b.track_ids for b in device.seen} == {(1,)}
    assert device.seen[0].labels == ("thing",)
    wait(lambda: device.state("good")["cameras"].get("cam", {}).get("fps", 0) > 0)
    figures = device.state("good")["cameras"]["cam"]
    assert figures["attached"] is True
    assert 0 < figures["inference_p50_ms"] < 500
    assert "good" in read_component_status(device.layout.root)["vedette.Inference"]["models"]


def test_a_bad_model_leaves_the_others_running_and_is_taken_when_repaired(device: Device) -> None:
    camera = device.camera()
    good = device.model("good", models.bright_rectangle())
    bad = [
        device.model("cut", models.bright_rectangle()[:1000]),
        device.model("absent", None),
        device.model("labels", models.bright_rectangle(labels=7)),
        device.model("nan", models.bright_rectangle(fault=models.nan_always)),
        device.model("digest", models.bright_rectangle(), sha256="0" * 64),
    ]
    device.plan(good, *bad)
    codes = {"cut": "V302", "absent": "V301", "labels": "V303", "nan": "V304", "digest": "V305"}
    for key, code in codes.items():
        state = device.until_state(key, "FAILED", 40)
        assert state["code"] == code
        assert key in state["error"], "it names the file"
        assert "Traceback" not in state["error"]
    device.until_state("good", "RUNNING")
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 5)
    assert {b.pipeline for b in device.seen} == {"app/good"}
    device.layout.root.joinpath("cut.onnx").write_bytes(models.bright_rectangle())
    device.until_state("cut", "RUNNING", 10)
    assert all(state["restarts"] == 0 for state in (device.state(key) for key in ("good", *codes)))


def test_a_killed_process_is_replaced_and_people_keep_their_numbers(device: Device) -> None:
    camera = device.camera()
    device.plan(device.model("good", models.bright_rectangle()))
    device.until_state("good", "RUNNING")
    device.shoot_until([camera], [RECTANGLE, RECTANGLE, BLACK], lambda: len(device.batches()) >= 6)
    before = len(device.batches())
    killed_s = time.monotonic()
    os.kill(device.service.pids()["good"], signal.SIGKILL)
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) > before + 3, 15)
    first_after = next(b for b in device.seen[before:] if b.frame.gap_reason)
    assert "restarted" in first_after.frame.gap_reason
    assert {b.track_ids for b in device.seen[before:]} <= {(1,), ()}
    assert time.monotonic() - killed_s < 10
    assert device.until_state("good", "RUNNING")["restarts"] == 1


def test_numbers_are_never_given_twice(device: Device) -> None:
    """The object had left before the kill: nothing in the last picture tells that number 1 was given."""
    camera = device.camera()
    device.plan(device.model("good", models.bright_rectangle()))
    device.until_state("good", "RUNNING")
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 3)
    before = len(device.batches())
    device.shoot_until([camera], [BLACK], lambda: len(device.batches()) >= before + 3 and not device.seen[-1].track_ids)
    os.kill(device.service.pids()["good"], signal.SIGKILL)
    elsewhere = picture(64, 64, (50, 50, 62, 62))
    before = len(device.batches())
    device.shoot_until([camera], [elsewhere], lambda: any(b.track_ids for b in device.batches()[before:]))
    assert {b.track_ids for b in device.seen[before:] if b.track_ids} == {(2,)}


def test_a_model_that_hangs_is_killed_and_the_other_does_not_notice(device: Device) -> None:
    """It passes the trial and hangs on a white picture; the other model goes on with the same camera."""
    camera = device.camera()
    device.plan(
        device.model("good", models.bright_rectangle()),
        device.model("hangs", models.bright_rectangle(fault=models.hang_when_bright)),
    )
    device.until_state("good", "RUNNING")
    device.until_state("hangs", "RUNNING")
    device.shoot_until(
        [camera], [RECTANGLE], lambda: {b.pipeline for b in device.batches()} == {"app/good", "app/hangs"}
    )
    first = device.service.pids()["hangs"]
    started_s = time.monotonic()
    device.shoot_until([camera], [WHITE], lambda: device.service.pids().get("hangs") != first, 10)
    assert time.monotonic() - started_s < 4
    good = [b for b in device.batches() if b.pipeline == "app/good"]
    gaps = [b.frame.t_s - a.frame.t_s for a, b in itertools.pairwise(good)]
    assert max(gaps) < 1.0
    wait(lambda: any("has not ended" in m["error"] for t, m in device.bus.history if t.endswith("/hangs")))
    device.shoot_until([camera], [RECTANGLE], lambda: device.state("hangs").get("state") == "RUNNING")


def test_a_stopped_process_is_replaced(device: Device) -> None:
    device.plan(device.model("good", models.bright_rectangle()))
    device.until_state("good", "RUNNING")
    pid = device.service.pids()["good"]
    os.kill(pid, signal.SIGSTOP)
    started_s = time.monotonic()
    wait(lambda: device.service.pids().get("good", pid) != pid)
    assert time.monotonic() - started_s < 4
    device.until_state("good", "RUNNING")


def test_a_changed_pipeline_restarts_nothing(device: Device) -> None:
    one, two = device.camera("one"), device.camera("two")
    device.plan(device.model("good", models.bright_rectangle(), ("one",)))
    device.until_state("good", "RUNNING")
    pid = device.service.pids()["good"]
    device.plan(device.model("good", None, ("one", "two")))
    cameras = {"one", "two"}
    device.shoot_until([one, two], [RECTANGLE], lambda: {b.frame.camera for b in device.batches()} == cameras)
    assert device.service.pids()["good"] == pid
    device.plan()
    wait(lambda: not device.service.pids())


def test_degraded_where_the_provider_is_missing(device: Device) -> None:
    device.plan(device.model("gpu", models.bright_rectangle(), require="cuda"))
    state = device.until_state("gpu", "DEGRADED")
    assert state["code"] == "V306"
    assert "cuda" in state["error"]


def test_tracks_are_published_where_asked_for(device: Device) -> None:
    camera = device.camera()
    device.bus.values["publishTracks"] = "true"
    device.bus.changed()
    device.plan(device.model("good", models.bright_rectangle()))
    device.shoot_until([camera], [RECTANGLE], lambda: "vedette/cam/tracks" in device.bus.published)
    assert device.bus.published["vedette/cam/tracks"]["labels"] == ["thing"]


def test_a_configuration_that_cannot_be_used_changes_nothing(device: Device) -> None:
    device.plan(device.model("good", models.bright_rectangle()))
    device.until_state("good", "RUNNING")
    pid = device.service.pids()["good"]
    device.bus.values = {**device.bus.values, "threads": "many"}
    device.bus.changed()
    device.layout.plan.write_bytes(b"{")  # and a plan that is none
    threading.Event().wait(1.2)
    assert device.service.pids() == {"good": pid}


def test_the_first_process_has_no_native_code() -> None:
    code = "import sys, inference.__main__\nprint(sorted({'numpy', 'cv2', 'onnxruntime', 'av'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY / 'components'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_model_process_cannot_be_started_by_hand() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY / 'components'}"}
    done = subprocess.run(
        [sys.executable, "-m", "inference.model"],
        stdin=subprocess.DEVNULL,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "supervisor" in done.stderr
