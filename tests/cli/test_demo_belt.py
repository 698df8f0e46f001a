"""``vedette demo`` from an empty directory: nothing but the installation, and a verdict that can be believed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.adapters.evidence.store import EvidenceStore
from vedette.cli.demo_belt import Watched, report
from vedette.testing.belt import BeltSettings, footage, make_truth
from vedette.testing.belt.ejection import Ejected
from vedette.testing.belt.score import Outcome, Repetition, Report, passages, score

TRUTH = make_truth(BeltSettings())
PASSED = passages(TRUTH, [Repetition(0, 0.0)], 0.0, 1e9)
WATCHED = Watched(begin_s=0.0, first_at_s=4.0, end_s=60.0, pictures=600, longest_gap_s=0.2)


def told(outcome: Outcome, watched: Watched = WATCHED) -> tuple[bool, list[str]]:
    lines: list[str] = []
    right = report(lambda text="", **_: lines.append(text), outcome, Ejected(2, 1, 0, 0, (-0.03, 0.01)), watched, 0.0)
    return right, lines


def alerts() -> list[Report]:
    return [Report(p.line_s + 0.06, p.part.label.value, p.line_s + 0.3) for p in PASSED if p.part.defective]


def test_all_right_is_said_in_one_line() -> None:
    right, lines = told(score(PASSED, alerts()))
    assert right
    assert lines[-1].startswith("RIGHT: each of the 15 defective parts")
    assert any("median 0.30 s, worst 0.30 s" in line for line in lines)
    assert any("2 of 3 defective parts, 0 good ones" in line for line in lines)
    assert any("median 10 ms, 95 % 30 ms, worst 30 ms" in line for line in lines)


def test_a_missed_one_and_a_false_one_fail() -> None:
    good = next(p for p in PASSED if not p.part.defective)
    for reports in (
        alerts()[1:],
        [*alerts(), Report(good.line_s, "dent", good.line_s)],
        [*alerts(), Report(-50, "dent", 1)],
    ):
        right, lines = told(score(PASSED, reports))
        assert not right
        assert lines[-1].startswith("WRONG: ")


def test_late_alerts_are_said() -> None:
    late = [Report(r.picture_s, r.label, r.seen_s + 1.0) for r in alerts()]
    right, lines = told(score(PASSED, late))
    assert right
    assert any("15 after more than 1 s" in line for line in lines)


def test_nothing_to_judge_is_no_success() -> None:
    right, lines = told(score((), ()))
    assert not right
    assert lines[-1].startswith("NO VERDICT")
    right, lines = told(score(PASSED, ()), Watched())
    assert not right
    assert lines[-1].startswith("NO VERDICT: no picture")


@pytest.fixture
def empty_home(tmp_path: Path, short_tmp: Path) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VEDETTE_", "XDG_", "PYTHONPATH"))}
    return {**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(short_tmp)}


def demo(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vedette", "demo", "--headless", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )


@pytest.mark.processes
@pytest.mark.slow
def test_every_defective_part_is_reported_live(empty_home: dict[str, str], tmp_path: Path) -> None:
    footage(BeltSettings(seed=3), Path(empty_home["XDG_CACHE_HOME"]) / "vedette" / "belt")
    run = demo(empty_home, tmp_path, "--for", "44s", "--seed", "3")  # a busy machine starts in 15 s
    assert run.returncode == 0, run.stdout + run.stderr
    assert "from the cache" in run.stdout
    counted = re.search(r"parts at the line +(\d+) that count, (\d+) of them defective", run.stdout)
    assert counted is not None
    assert int(counted[1]) >= 8
    assert int(counted[2]) >= 2
    assert "precision, recall    1.000, 1.000" in run.stdout
    pushed = re.search(r"pushed out +(\d+) of (\d+) defective parts, (\d+) good ones", run.stdout)
    assert pushed is not None
    assert int(pushed[1]) == int(pushed[2]) >= 1
    assert int(pushed[3]) == 0
    assert "RIGHT" in run.stdout.splitlines()[-1]
    assert [path.name for path in Path(empty_home["TMPDIR"]).iterdir()] == []  # nothing is left
    opened = re.search(r"vedette evidence open ([0-9a-f]{12}) --state (\S+)", run.stdout)
    assert opened is not None
    folder, record = EvidenceStore(Path(opened[2]) / "evidence").find(opened[1])
    assert Path(opened[2]).is_relative_to(tmp_path)
    assert record.snapshot is not None
    assert (folder / record.snapshot.file).stat().st_size == record.snapshot.bytes


@pytest.mark.processes
def test_a_cache_that_cannot_be_written_is_an_error_with_advice(empty_home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = demo({**empty_home, "XDG_CACHE_HOME": str(tmp_path / "file")}, tmp_path)
    assert run.returncode == 1
    assert "V707" in run.stderr
    assert "XDG_CACHE_HOME" in run.stderr
    assert "Traceback" not in run.stderr
