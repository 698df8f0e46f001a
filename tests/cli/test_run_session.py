from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.test_cli_main import vedette
from tests.edge.made_up import ZONE, application, clip, model
from tests.outbox.samples import alert
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.argv import redacted_arguments
from vedette.cli.live_view import LiveView
from vedette.cli.main import main
from vedette.cli.run import parse_duration, run_name
from vedette.cli.session import AlertFollower, Session
from vedette.cli.viewer import Viewer
from vedette.contracts.camera import CameraConfig, CameraState, CameraStatus
from vedette.contracts.errors import StorageError, UsageError
from vedette.contracts.manifest import Manifest
from vedette.local.core import LocalMessage
from vedette.local.edge import RUN_ACTION, Edge, EdgeSettings, RunApplication, with_alerts_file

HUSH = {"sets": ["rules.enters.cooldown_s"]}
REASON = "camera address 'http://10.0.0.7/x' is refused: the scheme 'http' is not allowed."


def manifest() -> Manifest:
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": "one",
            "cameras": {"gate": {}},
            "models": {"m": {"family": "yolox", "file": "m.onnx", "labels": "coco"}},
            "pipelines": {"p": {"model": "m", "cameras": ["gate"]}},
            "rules": {"r": {"type": "dwell", "zone": [[0, 0], [1, 0], [1, 1]], "for_s": 5}},
        }
    )


def settings(root: Path, **more: object) -> EdgeSettings:
    cameras = (CameraConfig(name="gate", url="/recording.mp4"),)
    applications = (RunApplication(manifest()),)
    return EdgeSettings(applications=applications, cameras=cameras, root=root, alerts_file=root / "a.jsonl", **more)  # type: ignore[arg-type]


def status(state: CameraState, reason: str = "") -> CameraStatus:
    return CameraStatus.model_validate({"camera": "gate", "state": state.value, "reason": reason})


def test_the_component_reads_what_the_author_wrote(tmp_path: Path) -> None:
    coil = {"type": "modbus", "host": "127.0.0.1", "write": "coil", "address": 12, "pulse_s": 0.1}
    written = Manifest.model_validate({**manifest().model_dump(exclude_unset=True), "actions": {"reject": coil}})
    edge = Edge(settings(tmp_path))
    read = load_manifest(
        edge._write_application(with_alerts_file(written, tmp_path / "a.jsonl"), None) / "vedette.yaml"
    )
    assert read.actions["reject"] == written.actions["reject"]
    assert set(read.actions) == {"reject", RUN_ACTION}
    assert read.model_copy(update={"actions": written.actions}) == written


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("60s", 60), ("2m", 120), ("1.5h", 5400), ("9" * 40, 3.2e9)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-5s", "0", "0s", "5 minutes", "inf"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="60s or 2m"):
        parse_duration(text)


def test_arguments_are_hidden_byte_for_byte() -> None:
    raw = b"vedette\0run\0--camera\0hall=rtsp://u:canary/p@h/x\0--camera\0hall=rtsp://:@h\0--for\0" + b"5s\0"
    hidden = redacted_arguments(raw)
    assert len(hidden) == len(raw)
    assert [len(part) for part in hidden.split(b"\0")] == [len(part) for part in raw.split(b"\0")]
    assert b"canary" not in hidden
    assert hidden.endswith(b"--for\x005s\0")


def test_the_process_list_shows_no_password() -> None:
    code = "from vedette.cli.argv import hide_credentials as h; h(); print(open('/proc/self/cmdline').read())"
    shown = subprocess.run(
        [sys.executable, "-c", code, "hall=rtsp://u:canary@h/x", "after"], capture_output=True, text=True, check=True
    ).stdout
    assert "canary" not in shown
    assert "***@h/x" in shown
    assert "after" in shown


def test_a_reader_who_goes_ends_the_run_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    gone = threading.Event()
    with os.fdopen(writer, "w") as pipe:
        viewer = Viewer(gone.set, notes=Console(file=pipe), alerts=Console(file=pipe))
        with viewer.live("view"):
            viewer.draw("view 2")
            viewer.note("hello")
            viewer.alert("alert")
    assert gone.is_set()
    assert viewer.gone


def test_alerts_are_followed_from_now_on_through_garbage_and_rotation(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    lines = [alert(number).model_dump_json() + "\n" for number in range(4)]
    path.write_text(lines[0])
    follower = AlertFollower(path)
    assert list(follower.new()) == []
    with path.open("a") as file:
        file.write("not an alert\n" + lines[1] + lines[2][:20])
    assert [a.alert_id for a in follower.new()] == [alert(1).alert_id]
    with path.open("a") as file:
        file.write(lines[2][20:])
    assert [a.alert_id for a in follower.new()] == [alert(2).alert_id]
    path.write_text(lines[3])
    assert [a.alert_id for a in follower.new()] == [alert(3).alert_id]
    path.unlink()
    assert list(follower.new()) == []


@pytest.mark.parametrize("columns", [80, 200])
def test_what_is_wrong_with_a_camera_can_be_read(columns: int) -> None:
    view = LiveView("title", cameras={"gate": status(CameraState.UNSUPPORTED, REASON)})
    console = Console(file=io.StringIO(), width=columns, height=24, record=True)
    console.print(view.render())
    text = console.export_text()
    assert len(text.splitlines()) <= 12
    assert REASON in " ".join(text.replace("│", " ").split())


def test_a_run_ends_when_all_its_recordings_have(tmp_path: Path) -> None:
    session = Session(settings(tmp_path))
    assert not session._is_over(0.0)
    session._view.cameras["gate"] = status(CameraState.ENDED)
    assert not session._is_over(10.0)
    assert not session._is_over(12.9)
    assert session._is_over(13.0)
    session._view.cameras["gate"] = status(CameraState.STREAMING)
    assert not session._is_over(14.0)


def test_alerts_of_several_applications_say_whose_they_are(tmp_path: Path) -> None:
    two = manifest().model_copy(update={"name": "two", "title": "Second"})
    both = (RunApplication(manifest(), {"gate": ("gate",)}), RunApplication(two, {"gate": ("yard",)}))
    cameras = tuple(CameraConfig(name=name, url="/recording.mp4") for name in ("gate", "yard"))
    chosen = EdgeSettings(applications=both, cameras=cameras, root=tmp_path, alerts_file=tmp_path / "a.jsonl")
    file = io.StringIO()
    notes = Console(file=file, width=200)
    session = Session(chosen, lambda gone: Viewer(gone, notes=notes, alerts=notes))
    session._plain = True
    lines = [
        alert(number).model_copy(update={"application": name}).model_dump_json()
        for number, name in enumerate(["one", "two", "two"])
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    session._view.cameras |= {
        name: status(CameraState.STREAMING).model_copy(update={"camera": name}) for name in ("gate", "yard")
    }
    session._take_alerts()
    session._summary(5.0)
    text = file.getvalue()
    assert "one gate crossing warning:" in text
    assert "two gate crossing warning:" in text
    assert "     2 two: gate crossing" in text
    console = Console(file=io.StringIO(), width=120, height=24, record=True)
    console.print(session._view.render())
    shown = console.export_text()
    assert "one + Second" in shown
    assert "application" in shown
    rows = {line.split()[1]: line.split()[-2] for line in shown.splitlines() if "STREAMING" in line}
    assert rows == {"gate": "1", "yard": "2"}, "counted at the camera that it is here"


def test_models_that_cover_people_are_those_of_the_users_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VEDETTE_HOME", str(tmp_path / "home"))
    made = application("shop", model(tmp_path), ["gate"], {})
    (tmp_path / "vedette.yaml").write_text(made.model_dump_json(exclude_none=True))
    recording = clip(tmp_path / "gate.mp4", [], 1.0)
    chosen: list[EdgeSettings] = []

    class Recorded:
        def __init__(self, settings: EdgeSettings) -> None:
            chosen.append(settings)

        def run(self, _limit_s: float | None, *, headless: bool) -> bool:
            return headless

    monkeypatch.setattr("vedette.cli.run.Session", Recorded)
    arguments = ("run", str(tmp_path), "--camera", f"gate={recording}", "--headless", "--state", str(tmp_path / "s"))
    with pytest.raises(SystemExit) as missing:
        main((*arguments, "--face-model", "faces"))
    assert missing.value.code == 1
    assert "V301" in capsys.readouterr().err
    assert not chosen, "said before anything runs"
    ModelStore(tmp_path / "home" / "models").add_file(model(tmp_path), name="faces")
    with pytest.raises(SystemExit) as done:
        main((*arguments, "--face-model", "faces"))
    assert not done.value.code
    assert (chosen[0].model_directory, chosen[0].face_model) == (tmp_path / "home" / "models", "faces")


def test_the_folder_of_a_run_is_named_after_its_applications() -> None:
    assert run_name(["shop"]) == "shop"
    assert run_name(["shop", "safety"]) == run_name(["safety", "shop"]) == "safety+shop"
    many = [f"application-{number}" for number in range(9)]
    assert run_name(many) == run_name(many[::-1])
    assert run_name(many) != run_name(many[:8])
    assert run_name(many).startswith("application-0+8-more-")
    assert all(len(run_name([name * 20 for name in names])) <= 40 for names in (["a"], ["abc", "d"], many))


def test_applications_of_a_run_that_was_killed_are_not_run_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "attachments.json"
    path.parent.mkdir()
    edge = Edge(settings(tmp_path))
    edge._forget_others()  # nothing there
    entries = [{"manifest": {"name": name}} for name in ("one", "gone")]
    path.write_text(json.dumps({"applications": entries, "local": [{"application": "gone"}]}))
    edge._forget_others()
    assert json.loads(path.read_text()) == {
        "applications": entries[:1],
        "candidates": [],
        "local": [{"application": "gone"}],
    }
    path.write_text("damaged")
    edge._forget_others()
    assert path.read_text() == "damaged", "for its owner to put aside"


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_two_applications_side_by_side(short_tmp: Path) -> None:
    rules = {"enters": {"type": "zone_entered", "zone": ZONE}}
    for name, cameras in (("shop", ["gate"]), ("safety", ["dock"])):
        made = application(name, model(short_tmp), cameras, rules, parameters={"hush_s": HUSH})
        (short_tmp / name).mkdir()
        (short_tmp / name / "vedette.yaml").write_text(made.model_dump_json(exclude_none=True))
    recording = clip(short_tmp / "gate.mp4", [(n + 1.0, n + 1.5) for n in range(0, 40, 2)], 40.0)
    run = vedette(
        *("run", str(short_tmp / "shop"), str(short_tmp / "safety"), "--camera", f"gate={recording}", "--loop"),
        *("--bind", "safety.dock=gate", "--for", "20s", "--headless", "--set", "safety.hush_s=600"),
        *("--state", str(short_tmp / "s"), "--json", str(short_tmp / "alerts.jsonl")),
    )
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in (short_tmp / "alerts.jsonl").read_text().splitlines()]
    counts = Counter((entry["application"], entry["camera"]) for entry in found)
    assert counts["safety", "dock"] == 1, "the parameter of one is not that of the other"
    assert counts["shop", "gate"] > 1
    assert "shop gate enters" in run.stdout
    assert "safety dock enters" in run.stdout
    assert "1 safety: dock enters" in run.stderr


def test_states_are_told_once_and_not_while_the_run_ends(tmp_path: Path) -> None:
    file = io.StringIO()
    notes = Console(file=file, width=200)
    session = Session(settings(tmp_path), lambda gone: Viewer(gone, notes=notes, alerts=notes))
    session._plain = True

    def tell(topic: str, text: str) -> None:
        session._on_message(LocalMessage(topic, text.encode(), True))

    for _ in range(2):
        tell("vedette/gate/status", status(CameraState.CONNECTING, "starting").model_dump_json())
        tell("vedette/inference/m", '{"model": "m", "state": "LOADING", "error": "the model is being checked"}')
    tell("vedette/inference/m", '{"model": "m", "state": "FAILED", "error": "no model"}')
    tell("vedette/alerting", '{"problems": ["the outbox is full"]}')
    tell("vedette/alerting", "no JSON")
    assert file.getvalue().splitlines() == ["gate CONNECTING: starting", "model m LOADING: the model is being checked"]
    assert list(session._other_problems())[:2] == ["model m is FAILED: no model", "the outbox is full"]
    assert not session._well, "the exit status tells of it"
    session._done.set()
    tell("vedette/gate/status", status(CameraState.STREAMING).model_dump_json())
    assert len(file.getvalue().splitlines()) == 2


def test_what_motion_gating_saves_is_shown_where_it_saves(tmp_path: Path) -> None:
    session = Session(settings(tmp_path))
    session._view.cameras["gate"] = status(CameraState.STREAMING)
    console = Console(file=io.StringIO(), width=120, record=True)

    def tell(spared: int) -> str:
        figures = {"cameras": {"gate": {"analysed": 200, "spared": spared, "fps": 5.0}}}
        message = {"model": "m", "state": "RUNNING", "error": "", **figures}
        session._on_message(LocalMessage("vedette/inference/m", json.dumps(message).encode(), True))
        console.print(session._view.render())
        return console.export_text()

    assert "spared" not in tell(0)
    shown = tell(150)
    assert "spared" in shown
    assert "75 %" in shown


def test_a_folder_that_cannot_be_used_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be used") as caught, Edge(settings(tmp_path / "file")):
        pass
    assert "--state" in caught.value.hint
    monkeypatch.setattr("vedette.local.edge.LEAST_FREE_BYTES", 1 << 62)
    with pytest.raises(StorageError, match="are free"), Edge(settings(tmp_path / "small")):
        pass


def test_a_second_run_in_the_same_folder_changes_nothing_of_the_first(short_tmp: Path) -> None:
    import fcntl

    from vedette.contracts.errors import CoreError

    (short_tmp / "core").mkdir()
    (short_tmp / "secrets.json").write_text("first")
    with (short_tmp / "core" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = settings(short_tmp, secrets={"vedette/camera/gate": {"username": "u", "password": "p"}})
        with pytest.raises(CoreError, match="in use"), Edge(second):
            pass
    assert (short_tmp / "secrets.json").read_text() == "first"
    assert not (short_tmp / "application").exists()


def test_a_disk_that_fills_up_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(settings(tmp_path))
    assert list(session._other_problems()) == []
    monkeypatch.setattr("vedette.cli.session.LOW_DISK_BYTES", 1 << 62)
    assert ["is full" in problem for problem in session._other_problems()] == [True]


def test_nothing_of_use_to_others_stays_after_a_run(tmp_path: Path) -> None:
    import socket

    edge = Edge(settings(tmp_path, secrets={"vedette/camera/gate": {"username": "u", "password": "p"}}))
    cache = tmp_path / "state" / "secrets" / "cached.json"
    killed = tmp_path / "state" / "run" / "frames" / "gate.sock"
    for path in (cache, killed):
        path.parent.mkdir(parents=True)
    cache.write_text("secret")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(killed))
    edge._write_secrets()
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert not cache.exists()
    edge._clean_up()
    assert not (tmp_path / "secrets.json").exists()
    assert not killed.exists()
