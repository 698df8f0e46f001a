"""R10: from the start of the first process to the first analysed picture, with files in the page cache and without."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bench.processes import descendants, started_s
from tests.edge.faults_support import Analysed
from tests.edge.made_up import clip, model
from tests.edge.running import running
from tests.faults.scorecard import Control, Row, record, size
from tests.faults.test_processes import watching
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

DROP: Final = Path("/proc/sys/vm/drop_caches")
COLD_GOAL_S, WARM_GOAL_S = 3.0, 1.5


@dataclass
class Starts:
    """Of each start: seconds to its first analysed picture, and pages that had to be read from the disk by then."""

    took_s: list[float] = field(default_factory=list)
    major_faults: list[int] = field(default_factory=list)


@dataclass
class Measured:
    warm: Starts = field(default_factory=Starts)
    cold: Starts = field(default_factory=Starts)
    seconds: float = 0.0
    model_kb: float = 0.0


def major_faults(pids: Iterable[int]) -> int:
    """Field 12 of ``/proc/PID/stat``, added up."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            total += int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[9])
    return total


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    """Warm and cold by turns, where the page cache may be emptied."""
    folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    made, begun_s = Measured(), time.monotonic()
    kinds = (made.warm, made.cold) if os.access(DROP, os.W_OK) else (made.warm,)
    try:
        file = clip(folder / "gate.mp4", [(0.0, 60.0)], 60.0)
        with SimulatedCameras({"gate": file}, log_file=folder / "simulator.log") as simulated:
            for number in range(size(quick=2, full=10) * len(kinds)):
                kind = kinds[number % len(kinds)]
                if kind is made.cold:
                    os.sync()
                    DROP.write_text("3")
                with running(watching(folder), simulated.urls, folder / f"run{number}") as watched:
                    analysed = Analysed(watched.edge.settings.state_directory / "journal.db")
                    first_s = analysed.first_after_s("gate", 0.0, 60, math.inf)
                    mains = watched.mains()
                    kind.major_faults.append(major_faults(descendants(mains)))
                    kind.took_s.append(first_s - min(started_s(pid) for pid in mains))
        made.seconds = time.monotonic() - begun_s
        made.model_kb = model(folder).stat().st_size / 1024
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def row_of(
    name: str, what: str, starts: Starts, goal_s: float, measured: Measured, control: Control | None = None
) -> Row:
    value = statistics.median(starts.took_s)
    more = "Libraries that the measuring process itself has mapped stay in memory." if control else ""
    return Row(
        id=name,
        name=f"Start of the first process → first analysed picture, {what}",
        value=round(value, 2),
        unit="s",
        n=len(starts.took_s),
        goal=f"≤ {goal_s:g} s",
        passed=value <= goal_s and (control is None or control.seen),
        control=control,
        notes=f"Median; longest {max(starts.took_s):.2f} s. All components, not only the process with the model, "
        f"which has {measured.model_kb:.1f} kB; the goal means one of 5 MB. {more}".strip(),
    )


def test_starts(measured: Measured) -> None:
    row = row_of("R10-warm", "files in the page cache", measured.warm, WARM_GOAL_S, measured)
    record(row, measured.seconds)
    assert row.passed, measured.warm


def test_cold_starts(measured: Measured) -> None:
    if not measured.cold.took_s:
        pytest.skip("R10 with the page cache emptied: that needs root")
    cold, warm = (statistics.median(starts.major_faults) for starts in (measured.cold, measured.warm))
    control = Control(f"pages read from the disk by then (warm: {warm:g})", cold, cold > warm)
    row = row_of("R10", "page cache emptied", measured.cold, COLD_GOAL_S, measured, control)
    record(row, measured.seconds)
    assert row.passed, measured
