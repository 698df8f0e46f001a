"""The page of the measurements says what was measured, also where it is bad news."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from bench import report, result
from bench.result import Figure, Row, at_least, at_most
from bench.rows import ORDER


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(result, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "PLOTS", tmp_path / "plots")
    figures = (
        at_most("ours: core per camera", "%", [9.0, 8.0, 16.0], 15.0),
        at_least("ours: analysed", "1/s", [4.1], 5.0),
        Figure("another's: core per camera", "%", (21.0, 22.0), peer=True),
        Figure("ours: memory", "MB", (300.0,)),
    )
    result.write(Row("site", "Four cameras", "python -m bench site", "Four of them.", figures, ("Why.",)), 1.0)
    return report.write_report()


def test_median_and_spread_decide_and_a_missed_target_stays(page: Path) -> None:
    text = page.read_text()
    assert "| ours: core per camera | ≤ 15 % | 9 (8 to 16) | met |" in text
    assert "| ours: analysed | ≥ 5 1/s | 4.1 | missed, see [below](#site) |" in text
    assert "| *another's: core per camera* | 21.5 | 21 | 22 | % |  |" in text
    assert "\nWhy." in text
    assert "`python -m bench site`" in text
    assert "but the hour with faults, which is of `make soak`" in text
    assert "no measurement of it was kept: `python -m bench system`, `python -m bench peers`" in text


def test_links_to_what_is_there_alone(page: Path) -> None:
    assert "PEERS.md" not in page.read_text()
    (page.parent / "PEERS.md").write_text("How.")
    assert "(PEERS.md)" in report.write_report().read_text()


def test_bars_stand_beside_each_other_only_where_another_has_the_same_figure(page: Path) -> None:
    assert page.exists()
    compared = report.compared(result.read_all()[0]["figures"])
    assert {name: [who for who, _ in bars] for name, bars in compared.items()} == {
        "core per camera, %": ["ours", "another's"]
    }


def test_every_row_of_the_order_can_be_measured() -> None:
    assert [name for name in ORDER if importlib.util.find_spec(f"bench.rows.{name}") is None] == []


def test_whoever_misses_a_target_says_why() -> None:
    """The page says that the reason is in the row's section."""
    silent = [
        row["id"]
        for row in result.read_all()
        if any(figure["met"] is False for figure in row["figures"]) and not row["notes"]
    ]
    assert silent == []
