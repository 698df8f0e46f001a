"""What is kept of a measurement, and what makes a figure meet its target."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench import result
from bench.result import Figure, Row, figure_line
from tests.faults import scorecard


def git(folder: Path, *arguments: str) -> str:
    """In a clone of its own, whatever this user's settings are."""
    own = ["git", "-c", "user.name=a", "-c", "user.email=a@example", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(own, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program and what was measured of it before."""
    monkeypatch.setattr(scorecard, "REPOSITORY", tmp_path)
    monkeypatch.setattr(result, "RESULTS", tmp_path / "bench" / "results")
    for name in ("program.py", "bench/REPORT.md", "bench/plots/site.png", "bench/results/site.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Before")
    return tmp_path


def measured() -> str:
    """The commit that a measurement says it is of."""
    path = result.write(Row("site", "Four cameras", "python -m bench site", "Four of them.", ()), 1.0)
    sha: str = json.loads(path.read_text())["sha"]
    return sha


def test_program_that_is_not_the_commits_is_marked(clone: Path) -> None:
    head = git(clone, "rev-parse", "--short=9", "HEAD")
    assert measured() == head
    (clone / "program.py").write_text("after")
    assert measured() == f"{head}+"
    git(clone, "commit", "--quiet", "--all", "--message", "After")
    assert measured() == git(clone, "rev-parse", "--short=9", "HEAD")


def test_what_the_measurements_before_wrote_does_not_mark_the_next(clone: Path) -> None:
    head = git(clone, "rev-parse", "--short=9", "HEAD")
    for name in ("bench/REPORT.md", "bench/plots/site.png"):
        (clone / name).write_text("after")
    assert [measured(), measured()] == [head, head]


def test_outside_a_clone_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorecard, "REPOSITORY", tmp_path / "nowhere")
    monkeypatch.setattr(result, "RESULTS", tmp_path)
    assert measured() == "unknown"


def test_terminal_shows_the_spread_that_decides() -> None:
    figure = Figure("memory, growth", "MB/h", (4.11, 8.09, 12.8), "upper end ≤ 10", False)
    assert figure_line(figure) == "memory, growth: 8.09 MB/h (4.11 to 12.8)  upper end ≤ 10  MISSED"
    assert figure_line(Figure("alerts expected", "", (2262.0,), "> 0", True)) == "alerts expected: 2,262   > 0  met"
