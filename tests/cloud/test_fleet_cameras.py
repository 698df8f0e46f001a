"""From a command on a desk to a picture on the device, without a deployment; and again without the uplink."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.broker_device import credentials
from tests.cloud.sandbox_account import SandboxAccount, free_port
from tests.edge.running import wait_until
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.registry import Registry
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.camera import CameraState, CameraStatus
from vedette.local.cloud.broker import program
from vedette.local.core import BrokerIot, ComponentSpec, LocalCore, LocalCoreConfig, LocalMessage
from vedette.local.data import data_directory
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials
from vedette.testing.synthetic import make_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.skipif(program() is None, reason="mosquitto is not installed"),
]
#: Found nowhere else on this machine.
CANARY = uuid.uuid4().hex
PASSWORD = f"{CANARY}/w@rd"


class Lender(ThreadingHTTPServer):
    """The token exchange service of a nucleus."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers["Authorization"] == "lend-me"
                role = {"AccessKeyId": "testing", "SecretAccessKey": "testing", "Token": "t"}
                body = json.dumps({**role, "Expiration": "2099-01-01T00:00:00Z"}).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def lent(sandbox: SandboxAccount) -> Iterator[dict[str, str]]:
    """What a nucleus gives a component so that it has the device's role."""
    lender = Lender()
    yield {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://localhost:{lender.server_port}/",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "lend-me",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": sandbox.running.endpoint,
    }
    lender.shutdown()
    lender.server_close()


@pytest.fixture
def thing(sandbox: SandboxAccount, sandbox_commands: Account) -> str:
    serial = f"SN-{uuid.uuid4().hex[:6]}"
    new = Registry(sandbox_commands).register(serial, ring="rest")
    claim = {"parameters": {"SerialNumber": serial, "Token": new.token}}
    return str(sandbox.ask(f"/vedette/provision/{sandbox.made('provisioning-template')}", claim)["thingName"])


class Device:
    """The component on a core, and its cameras' states."""

    def __init__(self, core: LocalCore) -> None:
        self.core = core
        self.statuses: dict[str, CameraStatus] = {}
        core.subscribe_local("vedette/+/status", self._listen)

    def _listen(self, message: LocalMessage) -> None:
        status = CameraStatus.model_validate(message.json())
        self.statuses[status.camera] = status

    def until(self, camera: str, state: CameraState, reason: str = "") -> None:
        def there() -> bool:
            status = self.statuses.get(camera)
            return status is not None and status.state is state and reason in status.reason

        wait_until(there, 60, f"{camera} {state}: {self.statuses}")


@contextmanager
def device(root: Path, thing: str, broker: BrokerIot, environment: dict[str, str]) -> Iterator[Device]:
    config = LocalCoreConfig(
        root=root / "core",
        thing_name=thing,
        recipe_dirs=(data_directory("recipes"),),
        artifact_sources={"camera_ingest.zip": data_directory("components")},
        iot=broker,
        lite_quirks=True,
        environment=environment,
    )
    with LocalCore(config) as core:
        found = Device(core)
        merge = {"stateDirectory": str(root / "state")}
        core.deploy({"vedette.CameraIngest": ComponentSpec(configuration_merge=merge)})
        yield found


@pytest.fixture
def vedette(sandbox: SandboxAccount, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any], str]]:
    def run(*arguments: str, password: str = "") -> tuple[int, dict[str, Any], str]:
        secret = {"VEDETTE_CAMERA_PASSWORD": password} if password else {}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **sandbox.environment, **secret}
        command = [sys.executable, "-m", "vedette", *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, cwd=tmp_path)
        document: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            document = json.loads(done.stdout)
        return done.returncode, document, done.stdout + done.stderr

    return run


def written(folder: Path, *, but: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and but not in path.parents)


def command_lines() -> bytes:
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += path.read_bytes()
    return found


@pytest.mark.timeout(240)
def test_a_camera_comes_pauses_and_returns_without_the_uplink(
    sandbox: SandboxAccount,
    thing: str,
    lent: dict[str, str],
    vedette: Callable[..., tuple[int, dict[str, Any], str]],
    short_tmp: Path,
) -> None:
    clip = short_tmp / "clip.mp4"
    clip.write_bytes(make_clip(frames=50, gop=12))
    broker = credentials(sandbox, thing)
    simulator = CameraSimulator(
        [CameraSource(clip, name="hall")], "127.0.0.1", port=0, credentials=Credentials("viewer", PASSWORD)
    )
    secrets = StateLayout(short_tmp / "state").secrets
    with simulator:
        url = simulator.url("hall")
        with device(short_tmp, thing, broker, lent) as running:
            code, said, text = vedette(
                "camera", "add", "hall", url, "--user", "viewer", "--device", thing, "--wait", password=PASSWORD
            )
            assert (code, said.get("state")) == (0, "APPLIED"), text
            assert said["secret"] == f"vedette/camera/{thing}/hall"
            running.until("hall", CameraState.STREAMING)
            code, said, text = vedette("camera", "add", "bad", "rtsp://169.254.1.1/", "--device", thing, "--wait")
            assert (code, "V105" in text) == (1, True), "refused before anything is asked for"
            code, said, text = vedette("camera", "list", "--device", thing)
            assert [(one["name"], one["on_device"]) for one in said["cameras"]] == [("hall", "in force")], text
            shadow = sandbox.client("iot-data").get_thing_shadow(thingName=thing, shadowName="vedette")
            everything = written(short_tmp, but=secrets) + shadow["payload"].read() + command_lines() + text.encode()
            everything += json.dumps([one.model_dump(mode="json") for one in running.statuses.values()]).encode()
            assert CANARY.encode() not in everything
        assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}

        # The device starts, and there is neither a broker nor anybody who lends a role.
        nowhere = replace(broker, port=free_port())
        with device(short_tmp, thing, nowhere, {}) as running:
            running.until("hall", CameraState.STREAMING)
            code, said, text = vedette("camera", "pause", "hall", "--device", thing)
            assert (code, said["state"]) == (0, "ASKED"), text

        # It is back: what was asked for meanwhile is in force, and stays so.
        with device(short_tmp, thing, broker, lent) as running:
            running.until("hall", CameraState.DISABLED, "paused by ")
            code, said, text = vedette("device", "log-level", thing, "debug", "--wait")
            assert (code, said["state"]) == (0, "APPLIED"), text
            levels = StateLayout(short_tmp / "state").log_levels
            assert json.loads(levels.read_text()) == {"*": "DEBUG"}
            code, said, text = vedette("app", "set", "shop", "patience_s=5", "--device", thing, "--wait")
            assert (code, said["state"]) == (1, "REFUSED"), text
            assert "attached" in said["reason"]
            code, said, text = vedette("device", "diagnose", thing, "--wait", "--out", str(short_tmp / "d.tar.gz"))
            assert (code, said["state"]) == (0, "UPLOADED"), text
            check_bundle(short_tmp / "d.tar.gz", url)
        with device(short_tmp, thing, nowhere, {}) as running:
            running.until("hall", CameraState.DISABLED, "paused by ")
        with device(short_tmp, thing, broker, lent) as running:
            code, said, text = vedette("camera", "resume", "hall", "--device", thing, "--wait")
            assert (code, said["state"]) == (0, "APPLIED"), text
            running.until("hall", CameraState.STREAMING)
            code, said, text = vedette("camera", "remove", "hall", "--device", thing, "--wait")
            assert (code, said["state"], said["secret_deleted"]) == (0, "APPLIED", True), text
            wait_until(lambda: not list(secrets.iterdir()), 20, "the password forgotten")
            code, said, text = vedette("camera", "remove", "hall", "--device", thing)
            assert code == 1
            assert "V013" in text
    code, said, text = vedette("camera", "pause", "hall", "--device", "nobody")
    assert code == 1
    assert "V020" in text


def check_bundle(path: Path, url: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    assert {"about.json", "plan.json", "document.json", "storage.json", "status/vedette.CameraIngest.json"} <= set(
        files
    )
    assert any(name.startswith("logs/") and content for name, content in files.items()), sorted(files)
    everything = b"".join(files.values())
    assert CANARY.encode() not in everything
    assert url.encode() not in files["document.json"]
