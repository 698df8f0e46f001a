"""D2: torn sectors and reordered writes, out of a record of everything the outbox wrote."""

from __future__ import annotations

import json
import logging
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.faults import crash_states, recorded_writer, scorecard, shim
from tests.faults.alert_writer import HOOK
from tests.faults.crash_states import Disk, Step
from tests.faults.scorecard import Control, Row, upper95
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.ports.outbox import Origin

ALERTS: Final = 400
#: Where states are laid out: what is tested is what is in the files, not the disk below them.
MEMORY: Final = Path("/dev/shm")


@dataclass
class Count:
    """What was found over all states."""

    states: int = 0
    lost: int = 0
    broken: int = 0
    bad_states: int = 0


def record(folder: Path, library: Path, mutant: str = "") -> list[Step]:
    """Let the outbox work, and say what it wrote."""
    folder.mkdir()
    out = folder.with_suffix(".record")
    subprocess.run(
        [sys.executable, "-m", "tests.faults.recorded_writer", str(folder), str(ALERTS), mutant],
        env=shim.environment(library, record=(folder, out)),
        cwd=scorecard.REPOSITORY,
        check=True,
        timeout=300,
    )
    return crash_states.read(out, folder)


def crash(steps: list[Step], states: int, chance: random.Random) -> Count:
    """Crash after random steps, and open what is found."""
    count, disk, acks = Count(), Disk(), bytearray()
    moments = sorted(chance.randrange(len(steps)) for _ in range(states))
    at = 0
    for number, step in enumerate(steps):
        if step.name == "acks":
            acks += step.data
        elif not step.name.endswith(("-shm", ".lock")):
            disk.take(step)
        while at < states and moments[at] == number:
            look(disk.state(chance), bytes(acks), count)
            at += 1
    return count


def look(state: dict[str, bytes], acks: bytes, count: Count) -> None:
    """Open one state as the device would."""
    safe, gone = recorded_writer.acked(acks)
    folder = Path(tempfile.mkdtemp(prefix="vd-crash-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        for name, content in state.items():
            (folder / name).write_bytes(content)
        with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
            rows = outbox.rows(HOOK, 0, None, ALERTS + 1)
            found = {round(json.loads(row.body)["media_time_s"]) for row in rows}
            lost = len(set(range(safe)) - gone - found)
            resume = outbox.resume()
            broken = outbox.damage is not None or (safe > 0 and resume.origin is not Origin.RESUMED)
            broken |= safe > 0 and resume.cursor < safe - 1
    finally:
        shutil.rmtree(folder)
    count.states += 1
    count.lost += lost
    count.broken += broken
    count.bad_states += bool(lost or broken)


def test_d2_crash_states(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    caplog.set_level(logging.CRITICAL)
    library = shim.build(tmp_path)
    steps = record(tmp_path / "normal", library, "normal")
    control = crash(steps, scorecard.size(quick=60, full=500), random.Random(seed))
    steps = record(tmp_path / "ours", library)
    count = crash(steps, scorecard.size(quick=400, full=10_000), random.Random(seed))
    row = Row(
        "D2",
        "acknowledged alerts lost in torn and reordered writes",
        count.lost,
        "alerts",
        count.states,
        "0",
        passed=count.bad_states == 0 and control.bad_states > 0,
        upper95=upper95(count.bad_states, count.states),
        control=Control(
            f"synchronous=NORMAL, {control.states} states, {control.bad_states} of them bad",
            control.lost,
            control.lost > 0,
        ),
        seed=seed,
        notes=f"Crash states out of {len(steps)} recorded writes and flushes; any set of unflushed 512-byte sectors. "
        f"{count.broken} files damaged or without their position.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
