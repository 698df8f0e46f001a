"""``vedette app test`` as a process, on made-up recordings of which everything is known."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.test_cli_main import vedette
from tests.edge.made_up import ZONE, application, clip, model

RULES: dict[str, dict[str, Any]] = {
    "enters": {"type": "zone_entered", "zone": ZONE},
    "stays": {"type": "dwell", "zone": ZONE, "for_s": 2},
}
#: The rectangle is there from 1 to 4, from 6 to 7 and from 9 to 12 s.
STAYS = [(1.0, 4.0), (6.0, 7.0), (9.0, 12.0)]


pytestmark = pytest.mark.processes


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An application with a test that passes."""
    folder = tmp_path / "shop"
    (folder / "tests").mkdir(parents=True)
    parameters = {"patience_s": {"sets": ["rules.stays.for_s"], "max": 60}}
    manifest = application("shop", Path("rectangle.onnx"), ["hall"], RULES, parameters=parameters)
    model(folder)
    (folder / "vedette.yaml").write_text(manifest.model_dump_json(exclude_none=True))
    clip(folder / "tests" / "hall.mp4", STAYS, 14.0)
    write(
        folder,
        "visits",
        [
            {"rule": "enters", "camera": "hall", "at_s": 1.0},
            {"rule": "enters", "camera": "hall", "at_s": 6.0},
            {"rule": "enters", "camera": "hall", "at_s": 9.0},
            {"rule": "stays", "camera": "hall", "at_s": 3.0},
            {"rule": "stays", "camera": "hall", "at_s": 11.0},
        ],
    )
    return folder


def write(shop: Path, name: str, alerts: list[dict[str, Any]], **more: Any) -> Path:
    """A test about the recording."""
    digest = hashlib.sha256((shop / "tests" / "hall.mp4").read_bytes()).hexdigest()
    document = {
        "api": "vedette-test/v1",
        "title": f"Test {name}",
        "clips": {"hall": {"file": "hall.mp4", "sha256": digest}},
        "alerts": alerts,
        **more,
    }
    file = shop / "tests" / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def run(shop: Path, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = vedette("app", "test", str(shop), *arguments, **{"VEDETTE_DATA": "", **environment})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_what_is_right_is_said_with_its_figures_and_is_the_same_on_every_run(shop: Path) -> None:
    first = run(shop, "--json")
    document = json.loads(first.stdout)
    assert document["passed"]
    assert [(r["rule"], r["expected"], r["matched"], r["precision"], r["recall"]) for r in document["rules"]] == [
        ("enters", 3, 3, 1.0, 1.0),
        ("stays", 2, 2, 1.0, 1.0),
    ]
    assert all(entry["worst_error_s"] <= 0.3 for entry in document["rules"])
    assert run(shop, "--json").stdout == first.stdout
    table = run(shop).stdout
    assert "enters  hall    3         3      0      100 %      100 %" in table
    assert "passed visits.yaml (Test visits): 5 as expected" in table


def test_each_miss_and_each_extra_has_its_time(shop: Path) -> None:
    write(
        shop,
        "wrong",
        [{"rule": "enters", "camera": "hall", "at_s": 1.0}, {"rule": "enters", "camera": "hall", "at_s": 8.0}],
        rules=["enters"],
        none=[{"from_s": 5, "to_s": 6.5}],
    )
    done = run(shop, code=1)
    assert "passed visits.yaml" in done.stdout
    assert "failed wrong.yaml" in done.stdout
    assert "missing: enters on hall at 8.00 ± 0.5 s; there is one at 9" in done.stdout
    assert "extra: enters on hall at 6" in done.stdout
    assert "where none may come" in done.stdout
    assert "V704" in done.stderr
    assert "1 of 2 tests failed: wrong.yaml" in done.stderr
    document = json.loads(run(shop, "--json", code=1).stdout)
    assert not document["passed"]
    assert [test["status"] for test in document["tests"]] == ["passed", "failed"]
    assert len(document["tests"][1]["misses"]) == 1
    assert len(document["tests"][1]["extras"]) == 2


def test_parameters_and_overrides_of_a_test(shop: Path) -> None:
    stays = [{"rule": "stays", "camera": "hall", "at_s": at} for at in (1.5, 6.5, 9.5)]
    write(shop, "impatient", stays, rules=["stays"], parameters={"patience_s": 0.5})
    write(shop, "small", [], rules=["stays"], overrides={"rules.stays.zone": [[0, 0], [0.05, 0], [0.05, 0.05]]})
    assert "3 as expected" in run(shop).stdout
    write(shop, "small", [], rules=["stays"], parameters={"patience_s": 90})
    done = run(shop, code=1)
    assert "V106" in done.stderr
    assert "at most 60" in done.stderr


def test_recordings_that_are_not_here(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (shop / "tests" / "hall.mp4").rename(folder / "hall.mp4")
    done = run(shop)
    assert "not run visits.yaml" in done.stdout
    assert "recording hall.mp4 is not on this machine" in done.stdout
    assert "1 of 1 tests failed" in run(shop, "--strict", code=1).stderr
    assert "passed" in run(shop, "--clips", str(folder)).stdout
    (tmp_path / "videos").mkdir()
    (folder / "hall.mp4").rename(tmp_path / "videos" / "hall.mp4")
    assert "passed" in run(shop, VEDETTE_DATA=str(tmp_path)).stdout
    (folder / "hall.mp4").write_bytes(b"another one")
    done = run(shop, "--clips", str(folder), code=1)
    assert "is another recording" in done.stdout


def test_what_a_change_gains_and_loses_against_a_directory_a_parameter_and_a_revision(shop: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, "-C", str(shop.parent), *arguments], check=True, capture_output=True)

    git("init", "-q")
    (shop.parent / ".gitignore").write_text("*.onnx\n*.mp4\n")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    # What is expected now: the short visit too.
    alerts = [{"rule": "stays", "camera": "hall", "at_s": at, "tolerance_s": 1.0} for at in (2.5, 6.6, 10.5)]
    write(shop, "visits", alerts, rules=["stays"])
    manifest = json.loads((shop / "vedette.yaml").read_text())
    manifest["rules"]["stays"]["for_s"] = 0.7
    (shop / "vedette.yaml").write_text(json.dumps(manifest))
    done = run(shop, "--against", "HEAD")
    assert "against HEAD:" in done.stdout
    assert done.stdout.count("+ gained: visits.yaml: stays on hall at 6.60 ± 1 s") == 1
    assert "lost" not in done.stdout
    changes = json.loads(run(shop, "--set", "patience_s=2", "--against", str(shop), "--json", code=1).stdout)["against"]
    assert [(change["kind"], change["at_s"]) for change in changes["changes"]] == [("lost", 6.6)]
    assert "no difference" in run(shop, "--against", str(shop)).stdout
    done = run(shop, "--against", "nonsense", code=1)
    assert "V701" in done.stderr
    assert "git does not know it" in done.stderr


def test_alerts_of_hooks_are_tested_and_what_keeps_a_hook_from_them_is_said(shop: Path) -> None:
    file = shop / "vedette.yaml"
    document = json.loads(file.read_text()) | {"hooks": {"pairs": {"file": "hooks.py"}}}
    file.write_text(json.dumps(document))
    (shop / "hooks.py").write_text(
        "def on_tracks(app, batch):\n"
        "    if batch.objects and not app.state.get('seen'):\n"
        "        app.alert('[/] someone is here', objects=batch.objects, count=1)\n"
        "    app.state['seen'] = bool(batch.objects)\n"
    )
    write(shop, "visits", [{"rule": "pairs", "camera": "hall", "at_s": at_s} for at_s in (1, 6, 9)], rules=["pairs"])
    assert "3 as expected" in run(shop).stdout
    (shop / "hooks.py").write_text("def on_tracks(app, batch):\n    raise ValueError('[/] no')\n")
    broken = run(shop, code=1)
    assert "missing: pairs on hall at 1.00" in broken.stdout
    assert "V802 hook shop/pairs raised ValueError" in broken.stdout


def test_an_application_without_tests_says_what_to_do(shop: Path) -> None:
    (shop / "tests" / "visits.yaml").unlink()
    done = run(shop, code=1)
    assert "V701" in done.stderr
    assert "has no tests" in done.stderr
    assert "docs/applications.md" in done.stderr


def test_a_recording_that_cannot_be_decoded_fails(shop: Path) -> None:
    broken = shop / "tests" / "broken.mp4"
    broken.write_bytes(b"no video at all")
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    write(shop, "broken", [], clips={"hall": {"file": broken.name, "sha256": digest}})
    done = run(shop, code=1)
    assert "passed visits.yaml" in done.stdout
    assert "failed broken.yaml" in done.stdout
    assert "V20" in done.stdout
    assert str(broken) in done.stdout
    assert "1 of 2 tests failed: broken.yaml" in done.stderr
