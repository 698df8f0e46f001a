from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.manifest.test_manifest_mistakes import GOOD
from vedette import __version__
from vedette.cli.lazy import CommandSpec, load_command
from vedette.cli.main import COMMANDS, main
from vedette.contracts.errors import UsageError
from vedette.testing.models import bright_rectangle


def vedette(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **environment}
    return subprocess.run(
        [sys.executable, "-m", "vedette", *arguments], capture_output=True, text=True, env=env, timeout=60, check=False
    )


def leaves() -> list[tuple[str, ...]]:
    return [
        (spec.name, *((child.name,) if spec.children else ()))
        for spec in COMMANDS
        for child in (spec.children or (spec,))
        if importlib.util.find_spec(child.target.partition(":")[0]) is not None
    ]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_version_and_help() -> None:
    assert vedette("--version").stdout == f"vedette {__version__}\n"
    shown = vedette("--help").stdout
    for spec in COMMANDS:
        assert (spec.name in shown) is not spec.hidden
    for panel in {spec.panel for spec in COMMANDS}:
        assert panel in shown
    assert "vedette model add yolox_nano" in shown


HELP = """
import sys, time
started = time.perf_counter()
from vedette.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code, end
took = time.perf_counter() - started
heavy = {"numpy", "boto3", "botocore", "av", "cv2", "onnxruntime", "awsiot", "pydantic", "yaml", "vedette.adapters"}
print(sorted(heavy & set(sys.modules)), took, file=sys.stderr)
"""


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    took = []
    for _ in range(3):
        run = python(HELP)
        assert run.returncode == 0, run.stderr
        found, _, seconds = run.stderr.rpartition(" ")
        assert found == "[]"
        took.append(float(seconds))
    assert min(took) < 1.0, "0.2 s on an idle machine; this limit is for a busy one"


@pytest.mark.parametrize("command", leaves(), ids=" ".join)
def test_every_command_explains_itself(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this process: there are many commands, and starting an interpreter for each takes longer than all the rest.
    for name, value in (("NO_COLOR", "1"), ("COLUMNS", "120"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert not ended.value.code
    assert f"Usage: vedette {' '.join(command)}" in capsys.readouterr().out


def test_a_mistyped_command_names_the_near_one() -> None:
    run = vedette("validat")
    assert run.returncode == 2
    assert "'validate'" in run.stderr


def test_a_command_alone_shows_its_help() -> None:
    for arguments in ((), ("model",), ("camera",)):
        run = vedette(*arguments)
        assert "Usage: vedette" in run.stdout + run.stderr
        assert run.returncode in (0, 2)


def test_an_error_has_code_message_hint_and_link() -> None:
    run = vedette("validate", "/nowhere/vedette.yaml")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.splitlines() == [
        "error V101 manifest cannot be read",
        "/nowhere/vedette.yaml cannot be read: No such file or directory.",
        "Name the file, or the directory in which vedette.yaml lies.",
        "More: docs/errors.md#v101",
    ]


def test_an_error_as_json() -> None:
    run = vedette("validate", "/nowhere/vedette.yaml", "--json")
    assert (run.returncode, run.stdout) == (1, "")
    error = json.loads(run.stderr)["error"]
    assert error["code"] == "V101"
    assert error["documentation"] == "docs/errors.md#v101"
    assert set(error) == {"code", "title", "message", "hint", "documentation"}


def test_a_stack_trace_only_when_asked_for() -> None:
    assert "Traceback" not in vedette("validate", "/nowhere").stderr
    assert "Traceback" in vedette("validate", "/nowhere", VEDETTE_DEBUG="1").stderr


def test_a_fault_of_ours_is_no_stack_trace() -> None:
    code = (
        "import vedette.cli.validate as v, vedette.cli.main as m\n"
        "def broken(*a): raise RuntimeError('kaputt')\n"
        "v.check_manifest = broken\n"
        "m.main(['validate', 'x'])"
    )
    run = python(code)
    assert run.returncode == 70
    assert "Traceback" not in run.stderr
    assert "RuntimeError: kaputt" in run.stderr
    assert "VEDETTE_DEBUG=1" in run.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    run = subprocess.run(
        f"set -o pipefail; {sys.executable} -m vedette schema tables | head -n 1",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in run.stderr
    assert run.stdout == "## The file\n"


def test_a_missing_package_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "needs_much.py").write_text("import a_package_nobody_has\ndef command(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="'a_package_nobody_has', which is not installed") as caught:
        load_command(CommandSpec("x", "needs_much:command", "x"))
    assert caught.value.code == "V702"
    assert "vedette[edge]" in caught.value.hint


# --- importing ---

EVERY_MODULE = """
import importlib, pkgutil, socket, sys
def refuse(*a, **k): raise AssertionError("a socket was opened at import")
class Refused(socket.socket):
    def __init__(self, *a, **k): refuse()
socket.socket = Refused
socket.create_connection = socket.getaddrinfo = refuse
import vedette
names = [m.name for m in pkgutil.walk_packages(vedette.__path__, "vedette.")]
for name in names:
    if name != "vedette.__main__":
        importlib.import_module(name)
print(len(names), file=sys.stderr)
"""


def test_every_module_imports_without_a_socket_and_without_a_word() -> None:
    run = python(EVERY_MODULE)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert int(run.stderr.strip()) > 60, "nothing but the number"


def test_the_package_itself_is_light() -> None:
    run = python("import vedette, sys; print([m for m in ('numpy', 'boto3', 'av', 'pydantic') if m in sys.modules])")
    assert run.stdout == "[]\n"


# --- validate ---


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "vedette.yaml"
    file.write_text(GOOD)
    return file


def test_validate_says_what_the_application_needs(manifest: Path, tmp_path: Path) -> None:
    run = vedette("validate", str(tmp_path), VEDETTE_HOME=str(tmp_path / "home"))
    assert (run.returncode, run.stderr) == (0, "")
    assert "shop 0.1.0 can be used" in run.stdout
    assert "main at 5 fps" in run.stdout
    assert "vedette model add yolox_nano" in run.stdout


def test_validate_shows_every_mistake(manifest: Path) -> None:
    manifest.write_text(GOOD.replace("model: people", "model: peple").replace("left_to_right", "left"))
    run = vedette("validate", str(manifest))
    assert run.returncode == 1
    assert f"{manifest}:11:12: error: pipelines.main.model: no model is called 'peple'" in run.stdout
    assert "   11 |     model: peple" in run.stdout
    assert "did you mean `people`?" in run.stdout
    assert run.stdout.rstrip().splitlines()[-1].startswith("2 mistakes.")


def test_validate_as_json(manifest: Path) -> None:
    good = json.loads(vedette("validate", str(manifest), "--json").stdout)
    assert good == {"valid": True, "mistakes": []}
    manifest.write_text(GOOD.replace("model: people", "model: peple"))
    run = vedette("validate", str(manifest), "--json")
    assert run.returncode == 1
    mistakes: list[dict[str, Any]] = json.loads(run.stdout)["mistakes"]
    assert [(m["line"], m["column"], m["path"], m["suggestion"]) for m in mistakes] == [
        (11, 12, "pipelines.main.model", "`people`")
    ]


# --- doctor ---


def test_doctor_checks_this_machine(tmp_path: Path) -> None:
    started_s = time.monotonic()
    run = vedette("doctor", "--json", "--state", str(tmp_path / "state"), VEDETTE_HOME=str(tmp_path))
    document = json.loads(run.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert document["healthy"] is (run.returncode == 0)
    assert checks["Python"]["state"] == "ok"
    assert "h264" in checks["PyAV"]["found"]
    assert "CPU" in checks["ONNX Runtime"]["found"]
    assert checks["models"] == {
        "name": "models",
        "state": "warn",
        "found": "none stored",
        "advice": "vedette model add yolox_nano",
    }
    assert all(check["advice"] for check in checks.values() if check["state"] == "fail")
    assert time.monotonic() - started_s < 40
    assert "what to do" in vedette("doctor").stdout


def test_doctor_survives_a_library_that_crashes() -> None:
    from vedette.cli.doctor_checks import _end_trial, _start_trial

    assert _end_trial(_start_trial("import os, signal; os.kill(os.getpid(), signal.SIGILL)")) == (
        None,
        "crashes (SIGILL)",
    )
    result, reason = _end_trial(_start_trial("import a_package_nobody_has"))
    assert result is None
    assert "No module named" in reason


# --- model ---


def test_models_are_added_listed_shown_and_removed(tmp_path: Path) -> None:
    home = {"VEDETTE_HOME": str(tmp_path / "home")}
    file = tmp_path / "own.onnx"
    file.write_bytes(bright_rectangle(size=(64, 64)))
    added = vedette("model", "add", str(file), "--json", **home)
    assert added.returncode == 0, added.stderr
    entry = json.loads(added.stdout)
    assert (entry["name"], entry["licence"]) == ("own", "unknown")
    assert "--licence" in added.stderr
    assert [e["name"] for e in json.loads(vedette("model", "list", "--json", **home).stdout)] == ["own"]
    shown = vedette("model", "list", **home).stdout
    assert "yolox_nano" in shown
    assert "own" in shown
    assert entry["sha256"] in vedette("model", "show", "own", **home).stdout
    assert vedette("model", "remove", "own", **home).returncode == 0
    assert vedette("model", "remove", "own", **home).returncode == 1
    gone = vedette("model", "show", "own", **home)
    assert "V301" in gone.stderr


@pytest.mark.parametrize(("name", "said"), [("notes.md", "unknown kind"), ("old.pt", "written by pytorch")])
def test_what_is_no_onnx_model_cannot_be_made_smaller(name: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text("not a model")
    run = vedette("model", "optimize", str(file), "-c", str(tmp_path))
    assert run.returncode == 1
    for word in ("V701", name, said, ".onnx"):
        assert word in run.stderr


def test_an_unknown_model_name_gets_a_suggestion(tmp_path: Path) -> None:
    run = vedette("model", "add", "yolox-nano", VEDETTE_HOME=str(tmp_path))
    assert run.returncode == 1
    assert "Did you mean `yolox_nano`?" in run.stderr


@pytest.mark.footage
def test_the_command_of_the_readme_works_offline(tmp_path: Path, shared_data: Path) -> None:
    run = vedette("model", "add", str(shared_data / "models" / "yolox_nano.onnx"), VEDETTE_HOME=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert "Apache-2.0" in run.stdout
    assert "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14" in run.stdout
