"""The component's supervisor with real camera processes, on a bus of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camera_ingest.credentials import credentials_of
from camera_ingest.service import IngestService
from camera_ingest.settings import read_settings
from vedette.adapters.frames import FrameStoreClient
from vedette.adapters.secrets import SecretStore
from vedette.adapters.state.files import read_component_status
from vedette.contracts.camera import CameraState, CameraStatus
from vedette.contracts.errors import DeliveryError
from vedette.core.redact import RedactingFilter
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials

pytestmark = pytest.mark.processes


class FakeBus:
    """Configuration and secrets as attributes; what is published is kept."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.document = configuration
        self.secrets: dict[str, dict[str, str]] = {}
        self.statuses: dict[str, CameraStatus] = {}
        self.topics: set[str] = set()
        self.changed = threading.Condition()
        self.running = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    def configuration(self) -> dict[str, Any]:
        return self.document

    def on_configuration_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def reconfigure(self, **values: Any) -> None:
        self.document = {**self.document, **values}
        for callback in self._callbacks:
            callback()

    def publish_local(self, topic: str, message: dict[str, Any]) -> None:
        with self.changed:
            self.topics.add(topic)
            status = CameraStatus.model_validate(message)
            self.statuses[status.camera] = status
            self.changed.notify_all()

    def subscribe_local(self, topic: str, callback: Callable[[str, dict[str, Any]], None]) -> None: ...

    def publish_cloud(self, topic: str, payload: bytes) -> None: ...

    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None: ...

    def secret(self, name: str) -> dict[str, str]:
        if name not in self.secrets:
            raise DeliveryError(f"secret {name!r} is not available.", code="V503")
        return self.secrets[name]

    def report_running(self) -> None:
        self.running.set()

    def close(self) -> None: ...

    def until(self, camera: str, *states: CameraState, timeout_s: float = 15.0) -> CameraStatus:
        with self.changed:
            assert self.changed.wait_for(
                lambda: camera in self.statuses and self.statuses[camera].state in states, timeout_s
            ), self.statuses.get(camera)
            return self.statuses[camera]


Start = Callable[..., tuple[FakeBus, IngestService]]


@pytest.fixture
def start(short_tmp: Path, component_path: None) -> Iterator[Start]:
    running: list[tuple[IngestService, threading.Thread]] = []

    def begin(secrets: dict[str, dict[str, str]] | None = None, **configuration: Any) -> tuple[FakeBus, IngestService]:
        bus = FakeBus({"stateDirectory": str(short_tmp / "state"), **configuration})
        bus.secrets = secrets or {}
        service = IngestService(bus, RedactingFilter())
        thread = threading.Thread(target=service.run)
        thread.start()
        running.append((service, thread))
        assert bus.running.wait(10)
        return bus, service

    yield begin
    for service, thread in running:
        service.stop()
        thread.join()


def test_cameras_come_go_and_one_that_fails_harms_no_other(start: Start, clip: Path, short_tmp: Path) -> None:
    with CameraSimulator(
        [CameraSource(clip, name="a"), CameraSource(clip, name="b")], "127.0.0.1", port=0
    ) as simulator:
        bus, service = start(
            cameras=[
                {"name": "a", "url": simulator.url("a")},
                {"name": "b", "url": simulator.url("b")},
                {"name": "off", "url": "rtsp://192.0.2.1/", "enabled": False},
                {"name": "bad name", "url": 5},
            ]
        )
        for name in "ab":
            bus.until(name, CameraState.STREAMING)
        assert bus.until("off", CameraState.DISABLED).reason
        status = read_component_status(short_tmp / "state")["vedette.CameraIngest"]
        assert any("bad name" in problem for problem in status["problems"])
        pids = service._supervisor.pids()
        os.kill(pids["a"], signal.SIGKILL)
        bus.until("a", CameraState.STALLED)
        again = bus.until("a", CameraState.STREAMING)
        assert again.restarts == 1
        assert service._supervisor.pids()["b"] == pids["b"]
        bus.reconfigure(cameras={"b": {"url": simulator.url("b")}})  # a map by name, as a Greengrass merge makes it
        deadline_s = time.monotonic() + 5
        while service._supervisor.pids().keys() != {"b"}:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        assert service._supervisor.pids()["b"] == pids["b"], "an unchanged camera is not restarted"
        with FrameStoreClient(short_tmp / "state" / "run" / "frames" / "b.sock") as client:
            client.arm(None, 0.0)
            assert client.fileno() >= 0
    assert bus.topics == {"vedette/a/status", "vedette/b/status", "vedette/off/status"}


def test_a_new_secret_brings_the_camera_back_and_is_remembered_privately(
    start: Start, clip: Path, short_tmp: Path
) -> None:
    good = {"username": "admin", "password": "right/pass@word"}
    with CameraSimulator(
        [CameraSource(clip, name="cam")], "127.0.0.1", port=0, credentials=Credentials("admin", "right/pass@word")
    ) as simulator:
        camera = {"name": "cam", "url": simulator.url("cam"), "secret": "vedette/camera/cam"}
        bus, _ = start({"vedette/camera/cam": {"username": "admin", "password": "old-password"}}, cameras=[camera])
        bus.until("cam", CameraState.UNAUTHORIZED)
        bus.secrets["vedette/camera/cam"] = good
        start_s = time.monotonic()
        bus.until("cam", CameraState.STREAMING)
        assert time.monotonic() - start_s < 7
        text = json.dumps([status.model_dump(mode="json") for status in bus.statuses.values()])
        assert "old-password" not in text
        assert "right/pass" not in text
    files = list((short_tmp / "state" / "secrets").iterdir())
    assert len(files) == 2, "the secret, and the login that worked last"
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    everything = b"".join(
        file.read_bytes()
        for file in (short_tmp / "state").rglob("*")
        if file.is_file() and file.parent.name != "secrets"
    )
    assert b"right/pass" not in everything
    store = SecretStore(FakeBus({}).secret, short_tmp / "state" / "secrets", prefix="camera-")
    remembered = credentials_of(store, "vedette/camera/cam")
    assert remembered is not None
    assert remembered.password == "right/pass@word"
    assert "right" not in repr(remembered)
    assert credentials_of(store, "vedette/camera/other") is None


def test_settings_survive_every_kind_of_mistake() -> None:
    settings = read_settings(
        {
            "logLevel": "LOUD",
            "colour": "red",
            "cameraNetworks": '["10.0.0.0/8"]',
            "cameras": json.dumps(
                [
                    {"name": "a", "url": "rtsp://10.0.0.1/", "loop": "true", "max_fps": "5"},
                    {"name": "a", "url": "rtsp://10.0.0.2/"},
                    {"name": "b", "url": "rtsp://u:canary@10.0.0.3/", "max_fps": -1},
                    "canary",
                    {"url": "rtsp://10.0.0.4/"},
                ]
            ),
        }
    )
    assert [camera.name for camera in settings.config.cameras] == ["a"]
    assert settings.config.cameras[0].loop is True
    assert settings.config.cameras[0].max_fps == 5.0
    assert settings.config.cameraNetworks == ("10.0.0.0/8",)
    assert settings.config.logLevel == "INFO"
    assert len(settings.problems) == 6
    assert "canary" not in "".join(settings.problems)
    assert read_settings({"cameras": "{nonsense"}).problems
    assert read_settings({"cameras": 5}).problems
    assert read_settings({"cameras": ""}) == read_settings({})


def test_the_supervisor_loads_no_native_code() -> None:
    program = (
        "import sys; import camera_ingest.service, camera_ingest.__main__; "
        "print([m for m in ('numpy', 'av', 'cv2', 'onnxruntime') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root / 'components'}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.strip() == "[]", result.stderr
