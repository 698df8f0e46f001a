"""Cameras, processes and receivers fail at random, by a seed: nothing lost, nothing twice, nobody given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.soak import soak
from tests.faults.scorecard import Control, Row, record, seed, size


@pytest.mark.processes
@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_seeded_chaos(short_tmp: Path) -> None:
    minutes = size(quick=2.0, full=10.0)
    done = soak(short_tmp, minutes, 4, seed())
    figures = {figure.name: figure for figure in done.figures}
    wrong = {name: figure.median for name, figure in figures.items() if figure.met is False}
    noticed = figures["the count notices a loss and a double"].median
    row = Row(
        "R20",
        f"violations in {minutes:g} minutes of seeded chaos, four cameras",
        float(len(wrong)),
        "violations",
        int(figures["alerts expected"].median),
        "0",
        not wrong and noticed == 1.0,
        control=Control("one alert taken away and one doubled in the count", noticed, noticed == 1.0),
        seed=seed(),
        notes=f"n is alerts of known truth. {wrong or ''} {' '.join(done.notes)}".strip(),
    )
    record(row, minutes * 60)
    assert row.passed, wrong
