"""An application's own tests on the device: whatever their process does, it comes to a result."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.comparison.site import printing, site
from tests.edge.made_up import ZONE, application, clip, model
from vedette.compose.golden_clips import GoldenRun
from vedette.contracts.comparison import GoldenClips

PASSED = {"file": "/a/tests/one.yaml", "status": "passed"}
ABSENT = {"file": "/a/tests/two.yaml", "status": "not_run", "problem": "recording x.mp4 is not on this machine"}
MISSED = {
    "file": "/a/tests/three.yaml",
    "status": "failed",
    "problem": "",
    "misses": [{"what": "enters on door at 3.0 s"}],
    "extras": [{"rule": "stays", "camera": "door"}],
}


def finish(run: GoldenRun, within_s: float = 30.0) -> GoldenClips:
    limit_s = time.monotonic() + within_s
    while (result := run.poll()) is None:
        assert time.monotonic() < limit_s
        time.sleep(0.01)
    run.close()
    return result


def run(command: Sequence[str], folder: Path, **settings: Any) -> GoldenClips:
    return finish(GoldenRun(command, 3, folder, **settings))


def gone(pid: int) -> bool:
    """Whether a process ends within a few seconds; one that nobody has collected yet has ended."""
    limit_s = time.monotonic() + 10.0
    while time.monotonic() < limit_s:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def test_results_are_read(tmp_path: Path) -> None:
    found = run(printing({"tests": [PASSED, ABSENT, MISSED]}, 1), tmp_path)
    assert (found.total, found.failed, found.lacking) == (3, 1, 1)
    assert found.failures == ("three.yaml: missing enters on door at 3.0 s; extra stays on door",)
    assert not list(tmp_path.iterdir()), "nothing is left"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", "it was ended by SIGSEGV"),
        ("import sys; print('V302 the model is broken', file=sys.stderr); sys.exit(1)", "V302 the model is broken"),
        ("print('no JSON')", "exit code 0"),
        ("print('[1]')", "exit code 0"),
    ],
)
def test_what_ends_without_a_result_has_failed(tmp_path: Path, script: str, words: str) -> None:
    found = run(python(script), tmp_path)
    assert (found.total, found.failed) == (3, 3)
    assert words in found.failures[0]


def test_what_takes_too_long_or_too_much_memory_is_ended_with_its_children(tmp_path: Path) -> None:
    hang = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); open('{0}', 'w').write(str(p.pid)); p.wait()"
    )
    note = tmp_path / "pid"
    now = [0.0]
    running = GoldenRun(python(hang.format(note)), 3, tmp_path, limit_s=5.0, clock=lambda: now[0])
    while not note.exists() or not note.read_text():
        assert running.poll() is None
        time.sleep(0.01)
    now[0] = 6.0
    assert "ended after 5 s" in finish(running).failures[0]
    assert gone(int(note.read_text()))

    greedy = "import time; held = bytearray(200_000_000); time.sleep(600)"
    found = run(python(greedy), tmp_path, memory_bytes=100e6)
    assert "MB of memory" in found.failures[0]


def test_it_gives_way_to_everything_else(tmp_path: Path) -> None:
    script = (
        "import json, os; print(json.dumps({'tests': [{'file': 'x', 'status': 'failed', 'problem': "
        "f'{os.getpriority(0, 0)} {len(os.sched_getaffinity(0))} ' + open('/proc/self/oom_score_adj').read()}]}))"
    )
    # It may ask before it was told; what it does then, it does for a moment only.
    found = run(python(f"import time; time.sleep(0.5)\n{script}"), tmp_path)
    assert found.failures == ("x: 19 1 1000",)


def test_a_candidate_waits_for_its_tests_and_runs_them_once(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        (here.folder / "tests").mkdir()
        (here.folder / "tests" / "one.yaml").write_text("")
        here.tests = (*printing({"tests": [MISSED]}, 1),)
        candidate = here.candidate()
        here.step(candidate)
        here.pictures(0, 60)
        limit_s = time.monotonic() + 30.0
        while not candidate.done:
            here.step(candidate, 0.5)
            assert time.monotonic() < limit_s
            time.sleep(0.01)
        report = here.told[-1]
        assert report.golden is not None
        assert (report.frames, report.golden.failed) == (50, 1)
        assert not (here.work / "golden.json").exists()
        candidate.close()

        here.tests = python("raise SystemExit('run again')")
        again = here.candidate()
        here.step(again)
        assert here.told[-1].golden == report.golden
        again.close()


def test_the_process_ends_with_the_candidate(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        (here.folder / "tests").mkdir()
        (here.folder / "tests" / "one.yaml").write_text("")
        here.tests = python(f"import os, time; open('{here.root}/pid', 'w').write(str(os.getpid())); time.sleep(600)")
        candidate = here.candidate()
        note = here.root / "pid"
        while not note.exists() or not note.read_text():
            here.step(candidate, 0.1)
            time.sleep(0.01)
        candidate.close()
        assert gone(int(note.read_text()))


def test_many_failures_are_counted_and_some_named(tmp_path: Path) -> None:
    many = [MISSED | {"file": f"/t/{n}.yaml"} for n in range(40)]
    found = run(printing({"tests": many}, 1), tmp_path)
    assert (found.failed, len(found.failures)) == (40, 8)
    assert len(json.dumps(found.model_dump())) < 3000


def test_the_command_itself_on_a_device(tmp_path: Path) -> None:
    """``vedette app test`` with a real model: one that passes, one that fails, one without its recording."""
    folder = tmp_path / "app"
    (folder / "tests").mkdir(parents=True)
    video = clip(folder / "tests" / "door.mp4", [(1.0, 3.0)], 4.0)
    digest = hashlib.sha256(video.read_bytes()).hexdigest()
    rules = {"enters": {"type": "zone_entered", "zone": ZONE}}
    manifest = application("door", model(folder), ["door"], rules).model_dump(mode="json", exclude_unset=True)
    (folder / "vedette.yaml").write_text(json.dumps(manifest))

    def case(name: str, sha256: str, alerts: list[dict[str, Any]]) -> None:
        document = {
            "api": "vedette-test/v1",
            "clips": {"door": {"file": "door.mp4" if sha256 == digest else "other.mp4", "sha256": sha256}},
            "alerts": alerts,
        }
        (folder / "tests" / f"{name}.yaml").write_text(json.dumps(document))

    case("right", digest, [{"rule": "enters", "camera": "door", "at_s": 1.2}])
    case("wrong", digest, [{"rule": "enters", "camera": "door", "at_s": 3.5}])
    case("absent", "0" * 64, [])
    command = (sys.executable, "-s", "-P", "-m", "vedette", "app", "test", str(folder), "--json")
    found = finish(GoldenRun(command, 3, tmp_path, {"VEDETTE_HOME": str(tmp_path)}), 120.0)
    assert (found.total, found.failed, found.lacking) == (3, 1, 1), found
    assert found.failures[0].startswith("wrong.yaml: missing ")
