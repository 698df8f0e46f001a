"""``vedette app attach`` and ``vedette status`` as processes, against a real owner of a state directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_cli_main import vedette
from tests.manifest.test_manifest_mistakes import GOOD
from tests.state.test_plan import cam
from vedette.adapters.state.files import write_component_status
from vedette.adapters.state.owner import StateOwner
from vedette.contracts.camera import CameraState, CameraStatus
from vedette.contracts.plan import Plan


class Watched:
    """A state owner whose plans can be waited for."""

    def __init__(self, root: Path) -> None:
        self.owner = StateOwner(root, status_source=self._status)
        self._changed = threading.Condition()
        self._plan = Plan()
        self.camera = CameraState.STREAMING
        self.owner.on_plan(self._on_plan)
        self.owner.start()
        self._on_plan(self.owner.set_cameras([cam("cam-1")]))

    def _status(self) -> dict[str, object]:
        status = CameraStatus(camera="cam-1", state=self.camera, reason="fine", codec="h264", width=640, height=360)
        return {"cameras": [status.model_dump(mode="json")]}

    def _on_plan(self, plan: Plan) -> None:
        with self._changed:
            self._plan = plan
            self._changed.notify_all()

    def wait_for_rules(self, count: int) -> Plan:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._plan.rules) == count, 20), self._plan
            return self._plan


@pytest.fixture
def application(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "vedette.yaml").write_text(GOOD)
    return folder


@contextmanager
def attached(application: Path, root: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "vedette", "app", "attach", str(application), "--state", str(root), *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.processes
def test_attached_until_told_to_end(application: Path, short_tmp: Path) -> None:
    watched = Watched(short_tmp / "s")
    with attached(application, short_tmp / "s", "--bind", "hall=cam-1") as process:
        plan = watched.wait_for_rules(1)
        assert [(rule.application, rule.camera, rule.app_camera) for rule in plan.rules] == [("shop", "cam-1", "hall")]
        process.send_signal(signal.SIGTERM)
        watched.wait_for_rules(0)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "application shop attached" in errors
        assert "application shop detached" in errors
    assert watched.owner.applications == ()
    watched.owner.close()


@pytest.mark.processes
def test_attached_again_after_the_owner_was_replaced(application: Path, short_tmp: Path) -> None:
    root = short_tmp / "s"
    with attached(application, root, "--bind", "hall=cam-1") as process:
        first = Watched(root)  # the application was there before its owner
        first.wait_for_rules(1)
        first.owner.close()
        (root / "attachments.json").unlink()
        second = Watched(root)
        second.wait_for_rules(1)
        process.kill()
        process.wait(20)
        assert [a.manifest.name for a in second.owner.applications] == ["shop"], "a crash does not detach"
    gone = vedette("app", "detach", "shop", "--state", str(root))
    assert gone.returncode == 0
    assert second.owner.applications == ()
    assert vedette("app", "detach", "shop", "--state", str(root)).returncode == 1
    second.owner.close()


@pytest.mark.processes
def test_an_application_with_mistakes_ends_with_an_error(application: Path, short_tmp: Path) -> None:
    (application / "vedette.yaml").write_text(GOOD.replace("model: people", "model: peple"))
    run = vedette("app", "attach", str(application), "--state", str(short_tmp / "s"))
    assert run.returncode == 1
    assert "V102" in run.stderr
    assert "did you mean `people`?" in run.stderr


@pytest.mark.processes
def test_without_greengrass_it_says_so(application: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_GG", "SVCUID"))}
    run = subprocess.run(
        [sys.executable, "-m", "vedette", "app", "attach", str(application)],
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "error V6" in run.stderr


def test_status_of_a_running_device(application: Path, short_tmp: Path) -> None:
    from vedette.adapters.manifest import attached_application

    root = short_tmp / "s"
    watched = Watched(root)
    watched.owner.attach(attached_application(application, {"hall": ["cam-1"]}))
    run = vedette("status", "--state", str(root))
    assert run.returncode == 0, run.stdout + run.stderr
    for word in ("cam-1", "STREAMING", "h264 640×360", "shop"):
        assert word in run.stdout
    document = json.loads(vedette("status", "--state", str(root), "--json").stdout)
    assert document["owner"] == "running"
    assert document["problems"] == []
    assert document["plan"]["streams"][0]["camera"] == "cam-1"

    model = {"state": "FAILED", "error": "no such file", "code": "V301", "cameras": {}}
    write_component_status(root, "vedette.Inference", {"models": {"yolox_nano-1": model}})
    assert "model yolox_nano-1 FAILED V301 no such file" in vedette("status", "--state", str(root)).stdout
    watched.camera = CameraState.UNAUTHORIZED
    assert vedette("status", "--state", str(root)).returncode == 1
    watched.owner.close()
    after = vedette("status", "--state", str(root))
    assert after.returncode == 1
    assert "not running" in after.stdout


def test_status_where_nothing_runs(tmp_path: Path) -> None:
    run = vedette("status", "--state", str(tmp_path / "none"))
    assert run.returncode == 1
    assert "V401" in run.stderr


def test_status_finds_the_run_of_this_user(short_tmp: Path) -> None:
    root = short_tmp / ".local/state/vedette/shop/state"
    watched = Watched(root)
    run = vedette("status", "--json", HOME=str(short_tmp))
    assert json.loads(run.stdout)["state_directory"] == str(root)
    watched.owner.close()
