"""``vedette incident save``: what a device kept of an alert becomes a test that fails when the alert is missed."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.applications.test_app_test_command import RULES, STAYS, run
from tests.cli.test_cli_main import vedette
from tests.edge.made_up import application, clip, model
from vedette.adapters.incidents import find_incident
from vedette.adapters.manifest import attached_application
from vedette.adapters.state.owner import StateOwner
from vedette.cli import incident
from vedette.compose.clips import file_digest
from vedette.contracts.errors import UsageError

pytestmark = pytest.mark.processes

START_S = 1_770_000_000.0
ID = "5f3c21" + "0" * 26


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An application without tests."""
    folder = tmp_path / "shop"
    folder.mkdir()
    parameters = {"patience_s": {"sets": ["rules.stays.for_s"], "max": 60}}
    rules = {**RULES, "waits": {**RULES["stays"], "for_s": 60}}
    manifest = application("shop", Path("rectangle.onnx"), ["hall"], rules, parameters=parameters)
    model(folder)
    (folder / "vedette.yaml").write_text(manifest.model_dump_json(exclude_none=True))
    return folder


def keep(state: Path, rule: str, alert_s: float, alert_id: str = ID, **more: Any) -> Path:
    """What a device leaves of an alert: its record and the clip around it."""
    moment = datetime.fromtimestamp(START_S + alert_s, UTC)
    folder = state / "evidence" / f"{moment:%Y%m%dT%H%M%S%f}"[:-3]
    folder = folder.with_name(f"{folder.name}Z-{alert_id}")
    folder.mkdir(parents=True)
    video = clip(folder / "clip.mp4", STAYS, 14.0)
    alert = {
        "alert_id": alert_id,
        "device": "edge-1",
        "application": "shop",
        "camera": "hall",
        "rule": rule,
        "severity": "warning",
        "time": moment.isoformat(),
        "media_time_s": 812.5,
        "label": "thing",
        "track_ids": [4],
        "boxes": [[53.0, 30.0, 107.0, 90.0]],
        "message": "Thing 4 has been in the zone\n- on hall: # for 2.0 s.",
        "evidence": {"state": "pending"},
        "of_another_release": 1,
    }
    record = {
        "version": 1,
        "alert": alert | more.pop("alert", {}),
        "made": moment.isoformat(),
        "privacy": "none",
        "clip": {
            "file": "clip.mp4",
            "bytes": video.stat().st_size,
            "sha256": file_digest(video),
            "codec": "h264",
            "reencoded": False,
            "duration_s": 14.0,
            "alert_s": alert_s,
            "pre_roll_s": 0.2,
            "pictures": 140,
        },
        "shortfalls": [],
        **more,
    }
    (folder / "evidence.json").write_text(json.dumps(record))
    return folder


def save(shop: Path, state: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = vedette(
        "incident", "save", *(arguments or (ID[:6],)), "--app", str(shop), "--state", str(state), VEDETTE_DATA=""
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def files(shop: Path) -> list[str]:
    return sorted(path.name for path in (shop / "tests").glob("*"))


def test_an_alert_becomes_a_test_that_guards_it(shop: Path, tmp_path: Path) -> None:
    keep(tmp_path / "s", "stays", 3.1)
    done = save(shop, tmp_path / "s")
    assert "the clip alone gives the alert again" in done.stdout
    name = "2026-02-02-stays-5f3c2100"
    assert files(shop) == [f"{name}.mp4", f"{name}.yaml"]
    text = (shop / "tests" / f"{name}.yaml").read_text()
    document = yaml.safe_load(text)
    assert document["alerts"] == [{"rule": "stays", "camera": "hall", "at_s": 3.1, "label": "thing"}]
    assert (document["rules"], document["complete"]) == (["stays"], False)
    assert datetime.fromisoformat(document["clips"]["hall"]["start"]).timestamp() == START_S
    assert text.startswith("# Thing 4 has been in the zone - on hall: # for 2.0 s.\n# Alert 5f3c21")
    assert "passed" in run(shop, "--strict").stdout
    # The change that would miss it is caught.
    missed = run(shop, "--set", "patience_s=9", code=1)
    assert "missing: stays on hall at 3.10" in missed.stdout
    again = save(shop, tmp_path / "s", code=1)
    assert "is there already" in again.stderr
    assert "passed" in run(shop, "--strict").stdout


def test_a_false_alarm_becomes_a_test_that_fails_until_the_application_is_changed(shop: Path, tmp_path: Path) -> None:
    keep(tmp_path / "s", "stays", 3.1)
    done = save(shop, tmp_path / "s", ID, "--expect", "none")
    assert "gives the false alarm again: this test fails until" in done.stdout
    assert "1 other alerts of the rule are in the clip" in done.stdout
    document = yaml.safe_load(next((shop / "tests").glob("*.yaml")).read_text())
    assert document["none"] == [{"rule": "stays", "camera": "hall", "from_s": 1.1, "to_s": 5.1}]
    assert "where none may come" in run(shop, code=1).stdout
    assert "passed" in run(shop, "--set", "patience_s=9").stdout
    keep(tmp_path / "s", "waits", 5.0, "abcdef" + "0" * 26)
    quiet = save(shop, tmp_path / "s", "abcdef", "--expect", "none")
    assert "gives no such alert with this application as it is" in quiet.stdout
    document = yaml.safe_load(next((shop / "tests").glob("*waits*.yaml")).read_text())
    assert document["none"] == [{"rule": "waits", "camera": "hall"}]


def test_an_alert_of_a_hook_becomes_a_test(shop: Path, tmp_path: Path) -> None:
    file = shop / "vedette.yaml"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"hooks": {"pairs": {"file": "hooks.py"}}}))
    (shop / "hooks.py").write_text(
        "def on_tracks(app, batch):\n"
        "    if batch.objects and not app.state.get('seen'):\n"
        "        app.alert('here', objects=batch.objects, count=2)\n"
        "    app.state['seen'] = bool(batch.objects)\n"
    )
    keep(tmp_path / "s", "pairs", 6.1, alert={"count": 2})
    assert "gives the alert again" in save(shop, tmp_path / "s").stdout
    document = yaml.safe_load(next((shop / "tests").glob("*.yaml")).read_text())
    assert document["alerts"] == [{"rule": "pairs", "camera": "hall", "at_s": 6.1, "count": 2, "label": "thing"}]
    (shop / "hooks.py").write_text("def on_tracks(app, batch):\n    pass\n")
    keep(tmp_path / "s", "pairs", 9.1, "abcdef" + "0" * 26)
    assert "the hook may need its state" in save(shop, tmp_path / "s", "abcdef", code=1).stderr


def test_a_clip_that_does_not_hold_what_led_to_the_alert(shop: Path, tmp_path: Path) -> None:
    keep(tmp_path / "s", "waits", 5.0)
    done = save(shop, tmp_path / "s", code=1)
    assert "V706" in done.stderr
    assert "the rule waits for 60 s, the clip begins 5.0 s before the alert" in " ".join(done.stderr.split())
    assert "--no-check" in done.stderr
    assert files(shop) == [], "nothing was kept"
    assert "not run" in save(shop, tmp_path / "s", ID, "--no-check").stdout
    assert len(files(shop)) == 2
    other = "aaaaaa" + "0" * 26
    keep(tmp_path / "s", "waits", 5.0, other, privacy="blur")
    assert "made unrecognisable" in save(shop, tmp_path / "s", other, code=1).stderr


def test_the_values_that_held_on_the_device_are_those_of_the_test(shop: Path, short_tmp: Path) -> None:
    owner = StateOwner(short_tmp / "s")
    owner.start()
    owner.attach(attached_application(shop))
    owner.set_parameters("shop", {"patience_s": 1.0}, "ana")
    try:
        keep(short_tmp / "s", "stays", 2.1)
        save(shop, short_tmp / "s")
    finally:
        owner.close()
    document = yaml.safe_load(next((shop / "tests").glob("*.yaml")).read_text())
    assert document["parameters"] == {"patience_s": 1.0}
    assert "passed" in run(shop).stdout


def test_what_cannot_be_saved_is_said(shop: Path, tmp_path: Path) -> None:
    state = tmp_path / "s"
    keep(state, "stays", 3.1)
    keep(state, "stays", 4.1, "5f3c22" + "0" * 26, clip=None, shortfalls=[{"code": "V903", "why": "no packets"}])
    keep(state, "stays", 5.1, "5f3c23" + "0" * 26, alert={"application": "other"})
    keep(state, "stys", 6.1, "5f3c24" + "0" * 26)
    gone = keep(state, "stays", 7.1, "5f3c25" + "0" * 26)
    (gone / "clip.mp4").unlink()
    damaged = keep(state, "stays", 8.1, "5f3c26" + "0" * 26)
    with (damaged / "clip.mp4").open("ab") as file:
        file.write(b"x")
    broken = keep(state, "stays", 9.1, "5f3c27" + "0" * 26)
    (broken / "evidence.json").write_text("{")
    for alert_id, words in (
        ("5f3c", "is no alert_id"),
        ("5F3C2", "is no alert_id"),
        ("999999", "nothing is kept of alert 999999"),
        ("5f3c22", "no clip is kept of alert 5f3c22: no packets"),
        ("5f3c23", "is one of application other, not of shop"),
        ("5f3c24", "has no rule 'stys'; there is enters, stays, waits .did you mean 'stays'"),
        ("5f3c25", "is not there any more"),
        ("5f3c26", "is damaged"),
        ("5f3c27", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            incident.save(alert_id, shop, state)
        assert caught.value.code == "V705"
    assert files(shop) == []


def test_ids_are_found_by_their_beginning_and_paths_lead_nowhere_else(tmp_path: Path) -> None:
    folder = keep(tmp_path, "stays", 3.1)
    keep(tmp_path, "stays", 4.1, "5f3c21" + "1" * 26)
    directory = tmp_path / "evidence"
    (directory / ".new-5f3c21").mkdir()
    assert find_incident(directory, f" {ID.upper()} ").path == folder / "clip.mp4"
    with pytest.raises(UsageError, match="beginning of 2 alerts"):
        find_incident(directory, "5f3c21")
    record = json.loads((folder / "evidence.json").read_text())
    record["clip"]["file"] = "../../../etc/passwd"
    (folder / "evidence.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="not there any more"):
        find_incident(directory, ID)
