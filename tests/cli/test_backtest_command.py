from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli_main import vedette
from vedette.testing.models import bright_rectangle
from vedette.testing.synthetic import make_clip


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """A folder with an application that watches for the synthetic clips' rectangle."""
    (tmp_path / "tiny.onnx").write_bytes(bright_rectangle(size=(64, 64)))
    manifest = {
        "api": "vedette/v1",
        "name": "tiny",
        "cameras": {"gate": {}},
        "models": {"things": {"family": "yolox", "file": "tiny.onnx", "labels": ["thing", "other"]}},
        "pipelines": {"all": {"model": "things", "cameras": ["gate"], "fps": 5}},
        "rules": {"stays": {"type": "dwell", "zone": [[0, 0], [1, 0], [1, 1], [0, 1]], "for_s": 1}},
    }
    (tmp_path / "vedette.yaml").write_text(json.dumps(manifest))
    return tmp_path


def test_an_application_is_named_by_its_folder_and_finds_the_model_in_it(application: Path) -> None:
    clip = application / "clip.mp4"
    clip.write_bytes(make_clip(frames=100, fps=25))
    run = vedette("backtest", str(application), "--camera", f"gate={clip}", "--json")
    assert run.returncode == 0, run.stderr
    alerts = [json.loads(line) for line in run.stdout.splitlines()]
    assert {alert["rule"] for alert in alerts} == {"stays"}
    assert "damaged" not in run.stderr
    assert not run.stderr.startswith("\n")


def test_titles_are_shown_where_only_ascii_can_be() -> None:
    code = "from vedette.cli.main import _survive_poor_encodings as s; s(); print('T\\u00fcr')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, b"T\\xfcr\n"), run.stderr


def test_a_damaged_recording_is_said_to_be(application: Path) -> None:
    content = bytearray(make_clip(frames=100, fps=25))
    start = content.index(b"mdat") + 4
    length = int.from_bytes(content[start - 8 : start - 4], "big")
    for at in range(start + length // 2, start + length * 3 // 4, 7):
        content[at] ^= 0x55
    clip = application / "clip.mp4"
    clip.write_bytes(content)
    run = vedette("backtest", str(application), "--camera", f"gate={clip}")
    assert run.returncode == 0, run.stderr
    assert "pictures of the recording are damaged" in run.stderr


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("rtsp://u:canary@10.0.0.7/x", "V701", "vedette run"),
        ("empty.mp4", "V701", "it is empty"),
        ("text.mp4", "V204", "cannot be opened as a camera"),
        (".", "V701", "directory"),
    ],
)
def test_what_is_no_recording(application: Path, address: str, code: str, words: str) -> None:
    (application / "empty.mp4").touch()
    (application / "text.mp4").write_text("no video\n" * 100)
    target = address if "://" in address else str(application / address)
    run = vedette("backtest", str(application), "--camera", f"gate={target}")
    assert run.returncode == 1
    assert code in run.stderr
    assert words in run.stderr
    assert "canary" not in run.stderr
    assert "Traceback" not in run.stderr


def test_what_is_no_model_is_not_stored(tmp_path: Path) -> None:
    file = tmp_path / "page.onnx"
    file.write_text("<html>not found</html>")
    run = vedette("model", "add", str(file), VEDETTE_HOME=str(tmp_path))
    assert run.returncode == 1
    assert "V302" in run.stderr
    assert json.loads(vedette("model", "list", "--json", VEDETTE_HOME=str(tmp_path)).stdout) == []


def test_the_demo_believes_the_folder_it_is_given(tmp_path: Path) -> None:
    for arguments, environment in ((("--data", str(tmp_path)), {}), ((), {"VEDETTE_DATA": str(tmp_path)})):
        run = vedette("demo", "--site", *arguments, **environment)
        assert run.returncode == 1
        assert "V702" in run.stderr
        assert str(tmp_path) in run.stderr.replace("\n", "")
