"""R14: the wall clock jumps while everything runs, and at boot."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.faults import scorecard, shim
from tests.faults.clock_program import BEHAVIOURS, JUMPS
from tests.faults.scorecard import Anchor, Control, Row, upper95


def start(folder: Path, library: Path, jumps: int, mutant: str = "") -> dict[str, subprocess.Popen[bytes]]:
    """All behaviours at once."""
    programs = {}
    for name in BEHAVIOURS:
        where = folder / (mutant or "ours") / name
        where.mkdir(parents=True)
        knob = shim.Knob(where / "clock")
        programs[name] = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.clock_program", name, str(where), str(jumps), *mutant.split()],
            env=shim.environment(library, clock=knob),
            cwd=scorecard.REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    return programs


def wait(programs: dict[str, subprocess.Popen[bytes]], jumps: int) -> list[str]:
    """What was not as ever, as ``behaviour: jump``."""
    bad = []
    for name, program in programs.items():
        said, _ = program.communicate(timeout=600)
        answers: dict[str, bool] = json.loads(said) if said else {}
        bad += [f"{name}: {jump}" for jump in list(JUMPS)[:jumps] if not answers.get(jump, False)]
    return bad


def test_r14_clock_jumps(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    library = shim.build(tmp_path)
    jumps = scorecard.size(quick=1, full=len(JUMPS))
    ours, mutants = start(tmp_path, library, jumps), start(tmp_path, library, jumps, "wall")
    bad, control = wait(ours, jumps), wait(mutants, jumps)
    cells = jumps * len(BEHAVIOURS)
    row = Row(
        "R14",
        "clock jumps x behaviours that were as ever",
        cells - len(bad),
        "cells",
        cells,
        f"{cells} of {cells}",
        passed=not bad and len(control) >= cells // 4,
        upper95=upper95(len(bad), cells),
        control=Control("the wall clock in place of the monotonic one: cells that differ", len(control), bool(control)),
        anchors=(Anchor("Frigate: silence rule on the wall clock", "blind for an hour after 1 h back", "documented"),),
        notes=f"Jumps: {', '.join(list(JUMPS)[:jumps])}. Behaviours: {', '.join(BEHAVIOURS)}. CLOCK_REALTIME is "
        f"shifted in the process by a preloaded library. {'; '.join(bad)}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
