"""Commands over the socket, and the command line as its own process."""

from __future__ import annotations

import io
import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.camera_simulator.clients import read_pictures
from vedette.cli.camera_simulate import read_password, simulate
from vedette.contracts.errors import UsageError
from vedette.testing.camera import CameraSimulator, CameraSource, ControlClient, Credentials

PROGRAM = "import typer; from vedette.cli.camera_simulate import simulate; typer.run(simulate)"


@pytest.fixture
def control(clip: Callable[..., bytes], short_tmp: Path) -> Iterator[Path]:
    path = short_tmp / "control.sock"
    with CameraSimulator([CameraSource(io.BytesIO(clip()), "hall")], control=path):
        yield path


def test_the_socket_is_the_users_own_and_goes_away(clip: Callable[..., bytes], short_tmp: Path) -> None:
    path = short_tmp / "control.sock"
    with CameraSimulator([CameraSource(io.BytesIO(clip()), "hall")], control=path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with (
            pytest.raises(UsageError, match="another simulator listens"),
            CameraSimulator([CameraSource(io.BytesIO(clip()), "hall")], control=path),
        ):
            pass
    assert not path.exists()
    with pytest.raises(UsageError, match="no camera simulator answers"):
        ControlClient(path)


def test_a_stale_socket_is_replaced(clip: Callable[..., bytes], short_tmp: Path) -> None:
    path = short_tmp / "control.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with CameraSimulator([CameraSource(io.BytesIO(clip()), "hall")], control=path), ControlClient(path) as client:
        assert client.call("list")["ok"]


def test_commands(control: Path) -> None:
    with ControlClient(control) as client:
        (camera,) = client.call("list")["cameras"]
        assert (camera["camera"], camera["codec"], camera["width"], camera["duration_s"]) == ("hall", "h264", 320, 1.6)
        assert len(read_pictures(camera["url"], 2)) == 2
        record = client.call("fault", camera="hall", kind="silent", seconds=60)
        assert record["t0_s"] > 0
        assert client.call("list")["cameras"][0]["faults"] == ["silent"]
        (cleared,) = client.call("clear", camera="cam1")["cleared"]
        assert cleared["t1_s"] >= cleared["t0_s"]
        assert client.call("clear", camera="hall")["cleared"] == []
        assert client.call("faults", camera="hall")["faults"] == [cleared]
        assert client.call("loops", camera="hall")["loops"][0]["loop"] == 0
        assert client.call("clients", camera="hall")["clients"] == []
        assert client.call("spoiled", camera="hall")["spoiled"] == []
        client.call("credentials", user="viewer", password="new")
        assert len(read_pictures(camera["url"], 1, credentials="viewer:new")) == 1


def test_mistakes_are_answered(control: Path) -> None:
    with ControlClient(control) as client:
        with pytest.raises(UsageError, match="operation 'dance' does not exist"):
            client.call("dance", camera="hall")
        with pytest.raises(UsageError, match="no camera 'attic' here"):
            client.call("loops", camera="attic")
        with pytest.raises(UsageError, match="fault silent: seconds: Input should be greater than 0"):
            client.call("fault", camera="hall", kind="silent", seconds=-1)
        client._socket.sendall(b"not json\n[1]\n")
        assert "not JSON" in client._read()["error"]
        assert "a command is a JSON object" in client._read()["error"]
        assert client.call("list")["ok"]


def test_loop_starts_are_told_to_subscribers(control: Path) -> None:
    with ControlClient(control) as client:
        event = next(iter(client.events()))
        assert (event["event"], event["camera"], event["duration_s"]) == ("loop", "hall", 1.6)
        with ControlClient(control) as other:
            known = other.call("loops", camera="hall")["loops"]
        assert {k: v for k, v in event.items() if k != "event"} in known


def test_the_program(clip: Callable[..., bytes], short_tmp: Path) -> None:
    first, second, password = short_tmp / "hall.mp4", short_tmp / "dock.mp4", short_tmp / "password"
    first.write_bytes(clip("h264"))
    second.write_bytes(clip("h265"))
    password.write_text("correct horse\n")
    control = short_tmp / "control.sock"
    command = [sys.executable, "-c", PROGRAM, str(first), str(second), "--port", "0", "--json", "--user", "viewer"]
    command += ["--password-file", str(password), "--control", str(control), "--separate-ports"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            cameras = [json.loads(process.stdout.readline()) for _ in range(2)]
            assert [c["camera"] for c in cameras] == ["hall", "dock"]
            for camera in cameras:
                assert len(read_pictures(camera["url"], 3, credentials="viewer:correct%20horse")) == 3
            loop = json.loads(process.stdout.readline())
            assert (loop["event"], loop["loop"]) == ("loop", 0)
            sent = subprocess.run(
                [sys.executable, "-c", PROGRAM, "--control", str(control), "--send", '{"op": "list"}'],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            assert [c["camera"] for c in json.loads(sent.stdout)["cameras"]] == ["hall", "dock"]
            assert "correct" not in Path(f"/proc/{process.pid}/cmdline").read_text()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert not control.exists()


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(simulate)

    def error(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments])
        assert isinstance(result.exception, UsageError)
        return str(result.exception)

    assert "no FILE given" in error()
    assert "go together" in error("a.mp4", "--user", "viewer")
    assert "--send needs --control" in error("--send", "{}")
    assert "not JSON" in error("--send", "{", "--control", "x")
    assert 'an object with "op"' in error("--send", "[]", "--control", "x")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(UsageError, match="the first line is empty"):
        read_password(empty)
    with pytest.raises(UsageError, match="cannot be read"):
        read_password(tmp_path / "missing")


def test_help_has_examples() -> None:
    app = typer.Typer()
    app.command()(simulate)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "vedette camera simulate hall.mp4 dock.mp4 --port 8554" in " ".join(result.output.split())


def test_credentials_can_be_withdrawn(clip: Callable[..., bytes], short_tmp: Path) -> None:
    path = short_tmp / "c.sock"
    source = [CameraSource(io.BytesIO(clip()), "hall")]
    with CameraSimulator(source, credentials=Credentials("a", "b"), control=path) as simulator:
        with ControlClient(path) as client:
            client.call("credentials")
        assert len(read_pictures(simulator.url(), 1)) == 1
