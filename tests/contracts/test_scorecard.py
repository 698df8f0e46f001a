"""The scorecard says what was measured, and what was not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import catalogue, report, scorecard
from tests.faults.scorecard import Anchor, Control, Row, upper95


def made(name: str = "R4", *, passed: bool = True, control: Control | None = None, value: float = 0) -> Row:
    return Row(
        name,
        "alerts lost",
        value,
        "alerts",
        300,
        "0",
        passed,
        upper95=upper95(int(value), 300),
        control=control,
        anchors=(Anchor("another", "33 of 40", "measured"),),
        seed=7,
        notes="On ext4.",
    )


@pytest.mark.parametrize(
    ("failures", "n", "bound"),
    [
        (0, 300, 0.01),  # the rule of three
        (0, 3_000, 0.001),
        (0, 2, 1.0),
        (1, 10, 0.394163),  # tables of the binomial distribution
        (5, 100, 0.102253),
        (10, 20, 0.698046),
        (20, 20, 1.0),
    ],
)
def test_bound_is_that_of_the_tables(failures: int, n: int, bound: float) -> None:
    assert upper95(failures, n) == pytest.approx(bound, abs=2e-5)


@pytest.mark.parametrize(("failures", "n"), [(1, 5), (3, 40), (33, 40), (149, 150), (400, 1_000)])
def test_so_few_failures_at_the_bound_come_in_one_of_twenty_runs(failures: int, n: int) -> None:
    share = upper95(failures, n)
    chance = sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(failures + 1))
    assert chance == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(("failures", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_bound_of_nothing_is_refused(failures: int, n: int) -> None:
    with pytest.raises(ValueError, match="failures and n"):
        upper95(failures, n)


def test_rows_are_kept_with_where_they_came_from_and_shown(tmp_path: Path) -> None:
    scorecard.record(made(control=Control("synchronous=NORMAL", 7_934, seen=True)), 12.34, tmp_path)
    scorecard.record(made("R13", passed=False, value=2), 1.0, tmp_path)
    scorecard.record(made("R4-kills"), 1.0, tmp_path)
    scorecard.record(made("Z1"), 1.0, tmp_path)
    assert report.main(["--rows", str(tmp_path), "--docs", str(tmp_path)]) == 1
    kept = json.loads((tmp_path / "scorecard.json").read_text())
    assert [row["id"] for row in kept] == ["R4", "R4-kills", "R13", "Z1"]
    assert kept[0]["seconds"] == 12.3
    assert kept[0]["command"].endswith("test_rows_are_kept_with_where_they_came_from_and_shown")
    assert f" --timeout={scorecard.LIMIT_S} " in kept[0]["command"]
    assert f"--timeout={scorecard.LIMIT_S} " in (scorecard.REPOSITORY / "Makefile").read_text()
    assert all(kept[0][key] for key in ("sha", "machine", "date", "seed"))
    page = (tmp_path / "scorecard.md").read_text()
    assert (
        f"| {report.GREEN} R4 | alerts lost | 0 alerts (failures <= 1 % at 95 %) | 300 | 0 | synchronous=NORMAL: 7934 |"
        in page
    )
    assert f"| {report.RED} R13 | alerts lost | 2 alerts (failures <= 2.1 % at 95 %) |" in page
    assert f"| {report.GREEN} R4-kills |" in page
    assert "## Others" in page
    assert f"* {report.RED} **R13** alerts lost: 2 alerts" in page.split("## Open")[1]


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    assert report.main(["--rows", str(tmp_path / "none"), "--docs", str(tmp_path)]) == 0
    page = (tmp_path / "scorecard.md").read_text()
    for wanted in catalogue.ALL:
        assert f"| {report.GREY} {wanted.id} | {wanted.name} | {wanted.without} |" in page
    assert report.GREEN not in page.split("## At a glance")[1]
    assert "X6 | cells of routes and roles | not applicable: nothing listens" in page
    assert "R10-boot | power on to first analysed picture | needs a Jetson" in page


def test_failed_test_without_a_red_row_and_skipped_ones_are_said(tmp_path: Path) -> None:
    scorecard.record(made(value=0), 1.0, tmp_path)
    here = json.loads((tmp_path / "R4.json").read_text())["command"].split(" ")[-1]
    scorecard.note_end(here, "failed", "AssertionError: after the green row", tmp_path)
    scorecard.note_end("tests/faults/test_a.py::test_a", "failed", "first\n  time", tmp_path)
    scorecard.note_end("tests/faults/test_a.py::test_a", "failed", "second\n  time", tmp_path)
    scorecard.note_end("tests/faults/test_c.py::test_c", "failed", "once", tmp_path)
    scorecard.note_end("tests/faults/test_c.py::test_c", "passed", "", tmp_path)
    scorecard.note_end("tests/faults/test_b.py::test_b", "skipped", "power cuts need root", tmp_path)
    assert report.main(["--rows", str(tmp_path), "--docs", str(tmp_path)]) == 1
    page = (tmp_path / "scorecard.md").read_text()
    opened, skipped = page.split("## Open")[1].split("## Not measured")
    assert f"* {report.RED} `{here}` failed, whatever rows it has: AssertionError: after the green row" in opened
    assert f"* {report.RED} `tests/faults/test_a.py::test_a` failed, whatever rows it has: second time\n" in opened
    assert "first" not in opened
    assert "test_c" not in page
    assert f"* {report.GREY} `tests/faults/test_b.py::test_b`: power cuts need root\n" in skipped


def test_failed_test_with_a_red_row_is_said_once(tmp_path: Path) -> None:
    scorecard.record(made(passed=False, value=2), 1.0, tmp_path)
    here = json.loads((tmp_path / "R4.json").read_text())["command"].split(" ")[-1]
    scorecard.note_end(here, "failed", "AssertionError", tmp_path)
    assert report.main(["--rows", str(tmp_path), "--docs", str(tmp_path)]) == 1
    assert "whatever rows it has" not in (tmp_path / "scorecard.md").read_text()


def test_rows_of_the_quick_profile_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEDETTE_FAULTS", "quick")
    scorecard.record(made(), 1.0, tmp_path)
    report.main(["--rows", str(tmp_path), "--docs", str(tmp_path)])
    page = (tmp_path / "scorecard.md").read_text()
    assert page.count(f"| {report.GREEN} R4, quick | alerts lost |") == 2


def test_row_of_what_is_wanted_itself_counts_for_that_only() -> None:
    row = {"id": "R10-boot"}
    found = {line.wanted.id: line.found for line in report.lines(catalogue.RELIABILITY, [row])}
    assert found["R10-boot"] == (row,)
    assert found["R10"] == ()


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("R19-cloud", "not met: offline 2 minutes after its connection ended, or 5 after its last message"),
        ("R20-flaky", "not measured: 50 times the suite takes most of a day"),
        ("X1-nist", "not run"),
        ("X15-firewall", "not measured here: no rules for a firewall are shipped"),
    ],
)
def test_what_a_figure_leaves_out_is_said_beside_its_row(tmp_path: Path, part: str, why: str) -> None:
    name = part.split("-")[0]
    scorecard.record(made(name), 1.0, tmp_path)
    found = {line.wanted.id: line for line in report.lines(catalogue.ALL, report.read(tmp_path))}
    assert [row["id"] for row in found[name].found] == [name]
    assert found[part].found == ()
    report.main(["--rows", str(tmp_path), "--docs", str(tmp_path)])
    page = (tmp_path / "scorecard.md").read_text()
    assert f"| {report.GREEN} {name} | alerts lost |" in page
    assert f"| {report.GREY} {part} | {found[part].wanted.name} | {why}" in page


@pytest.mark.parametrize(
    ("name", "n", "said"),
    [
        ("R1", 28, "28 of 50 asked"),
        ("R5", 100_000, "100,000 of 1,000,000 asked"),
        ("R1", 50, "50"),
        ("R4-kills", 200, "200"),  # a part of a figure: the number that is asked for is of another part
        ("Z1", 1, "1"),
    ],
)
def test_fewer_tries_than_the_goal_asks_for_are_said(tmp_path: Path, name: str, n: int, said: str) -> None:
    scorecard.record(replace(made(name), n=n), 1.0, tmp_path)
    report.main(["--rows", str(tmp_path), "--docs", str(tmp_path)])
    page = (tmp_path / "scorecard.md").read_text()
    assert f"| alerts lost | 0 alerts (failures <= 1 % at 95 %) | {said} | 0 |" in page
    assert '"28 of 50 asked": the figure is of 28 tries, and the goal asks for 50.' in page


def test_green_row_beside_a_control_that_saw_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="control"):
        scorecard.record(made(control=Control("a loss", 0, seen=False)), 1.0, tmp_path)


def test_figure_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite"):
        scorecard.record(Row("R1", "x", float("nan"), "s", 1, "0", False), 1.0, tmp_path)


def test_profile_is_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEDETTE_FAULTS", "quick")
    assert scorecard.size(quick=1, full=2) == 1
    monkeypatch.setenv("VEDETTE_FAULTS", "slow")
    with pytest.raises(ValueError, match="allowed: quick, full"):
        scorecard.profile()
    monkeypatch.delenv("VEDETTE_FAULTS")
    assert scorecard.size(quick=1, full=2) == 2
