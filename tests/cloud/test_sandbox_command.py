"""``vedette cloud``: an account from up to down, with every stack deployed and destroyed by the CDK."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.cloud.sandbox_account import free_port
from vedette.cli.main import main
from vedette.local.cloud import lifecycle


def vedette(*arguments: str) -> int:
    """Exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(["cloud", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_up_and_down_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where, port = ("--directory", str(tmp_path)), str(free_port())
    try:
        network = 'network={"on_premises_cidrs": ["10.1.0.0/16"]}'
        baseline = 'baseline={"aws.greengrass.Nucleus": {"version": "2.14.3"}}'
        assert vedette("up", "--port", port, *where, "--set", network, "--set", baseline) == 0
        said = capsys.readouterr().out
        assert "vedette-prod-storage: deployed" in said
        assert f"export AWS_ENDPOINT_URL=http://localhost:{port}" in said

        assert vedette("status", *where) == 0
        assert "vedette-prod-fleet" in capsys.readouterr().out
        assert vedette("status", *where, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert set(document["stacks"].values()) == {"CREATE_COMPLETE"}
        assert document["problems"] == []
        assert vedette("env", *where) == 0
        assert "export AWS_ACCESS_KEY_ID=testing" in capsys.readouterr().out

        assert vedette("up", "--port", str(free_port()), *where) == 1
        assert f"runs on port {port}" in capsys.readouterr().err

        running = lifecycle.found(tmp_path)
        assert running is not None
        assert vedette("down", "--destroy", *where) == 0
        said = capsys.readouterr().out
        assert "vedette-prod-storage: destroyed" in said
        assert not running.alive()
        assert list(tmp_path.iterdir()) == []
    finally:
        lifecycle.stop(tmp_path)


def test_without_a_sandbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "env"):
        assert vedette(command, "--directory", str(tmp_path)) == 1
        assert "V004" in capsys.readouterr().err
    (tmp_path / "mine.txt").write_text("kept")
    assert vedette("down", "--directory", str(tmp_path)) == 0
    assert capsys.readouterr().out == "No sandbox is running.\n"
    assert (tmp_path / "mine.txt").exists()


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert vedette("up", "--port", str(port), "--directory", str(tmp_path)) == 1
    assert f"port {port} of this machine is taken" in capsys.readouterr().err


@pytest.mark.parametrize("pair", ["ledger_days", "a b=1", "=1"])
def test_a_setting_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], pair: str) -> None:
    assert vedette("up", "--set", pair, "--directory", str(tmp_path)) == 1
    assert "is not KEY=VALUE" in capsys.readouterr().err


def test_a_directory_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert vedette("up", "--port", str(free_port()), "--directory", str(tmp_path / "file" / "x")) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_what_a_dead_server_left_is_no_sandbox(tmp_path: Path) -> None:
    left = {"pid": 1, "port": free_port(), "region": "us-east-1", "stage": "prod", "started_at": "2026-01-01"}
    (tmp_path / "sandbox.json").write_text(json.dumps(left))
    assert lifecycle.found(tmp_path) is None
    (tmp_path / "sandbox.json").write_text("{")
    assert lifecycle.found(tmp_path) is None
    assert lifecycle.stop(tmp_path) is None
