"""P5: a running component that gets no more descriptors, or no more processes, and then gets them again."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bench.processes import descendants, own_cpu_s
from tests.edge.faults_support import Analysed
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, running, wait_until
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.local.core import ComponentState
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes]

COMPONENTS: Final = ("vedette.CameraIngest", "vedette.Inference", "vedette.Alerting")
CPU_GOAL: Final = 0.2
BACK_GOAL_S: Final = 10.0
#: How long there are none: attempts at a new child fail meanwhile, most of them within this time.
WITHOUT_S: Final = 3.0
PIDS: Final = Path("/sys/fs/cgroup/pids")


@dataclass
class Found:
    """What the rounds showed."""

    busy: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)


@contextmanager
def descriptors(pid: int, more: int) -> Iterator[None]:
    """No more than so many above those that are open."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = (number for number in range(1 << 16) if number not in taken)
    limit = next(number for place, number in enumerate(free) if place == more)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        for each in descendants([pid]):  # one that was started meanwhile has the limit too
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(each, resource.RLIMIT_NOFILE, before)


@contextmanager
def processes(pid: int) -> Iterator[None]:
    """No more processes and threads below it than are there, less the one that is killed."""
    group = PIDS / f"vedette-{os.getpid()}"
    group.mkdir()
    try:
        for each_pid in descendants([pid]):
            (group / "cgroup.procs").write_text(str(each_pid))
        (group / "pids.max").write_text("1")
        yield
    finally:
        (group / "pids.max").write_text("max")
        with contextlib.suppress(OSError):
            while members := (group / "cgroup.procs").read_text().split():
                for each in members:
                    (PIDS / "cgroup.procs").write_text(each)
        wait_until(lambda: not (group / "cgroup.procs").read_text(), 5, "the group is empty")
        group.rmdir()


def spin() -> float:
    """Share of a processor that somebody takes who tries again at once."""
    program = "import os\nwhile True:\n try: os.open('/nonexistent', 0)\n except OSError: pass"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            return share(process.pid, 1.0)
        finally:
            process.kill()


def share(pid: int, seconds: float) -> float:
    """Of a processor, over so many seconds."""
    before, begun_s = own_cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (own_cpu_s(pid) - before) / (time.monotonic() - begun_s)


def one_round(
    watched: Watched, analysed: Analysed, name: str, without: AbstractContextManager[None], found: Found
) -> None:
    """Kill a component's children while it can start none; then let it."""
    main = watched.edge.core.states()[name].pid
    assert main is not None
    # As at first: what cameras' processes are copied from is started anew with the next copy, not before.
    held = found.held.setdefault(name, len(os.listdir(f"/proc/{main}/fd")))
    with without:
        for pid in descendants([main]) - {main}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        found.busy.append(share(main, WITHOUT_S))
    lifted_s = time.monotonic()
    try:
        analysed.first_after_s("gate", lifted_s, 30)
        wait_until(lambda: len(descendants([main])) > 1, 30, "it has a child again")
        found.back_s.append(time.monotonic() - lifted_s)
    except AssertionError:
        found.failed.append(f"{name} did not come back")
    state = watched.edge.core.states()[name]
    if state.pid != main or state.state is not ComponentState.RUNNING:
        found.failed.append(f"{name} is {state.state.value}")
    else:
        found.left.append(settled(main, held) - held)


def settled(pid: int, held: int) -> int:
    """Descriptors of a process, once they are as many as before, or after some seconds."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= held, 8, "descriptors as before")
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_p5_descriptors_and_processes_run_out(short_tmp: Path) -> None:
    begun_s, found = time.monotonic(), Found()
    kinds: list[int | None] = [0, 2, 5] if scorecard.profile() == "quick" else [0, 1, 2, 3, 4, 5, 7, 9]
    if os.geteuid() == 0 and os.access(PIDS / "cgroup.procs", os.W_OK):
        kinds.append(None)
    files = {"gate": clip(short_tmp / "gate.mp4", [(1.0, 9.0)], 10.0)}
    manifest = application("visits", model(short_tmp), ["gate"], {"enters": {"type": "zone_entered", "zone": ZONE}})
    with (
        SimulatedCameras(files, log_file=short_tmp / "simulator.log") as simulated,
        running(manifest, simulated.urls, short_tmp / "run") as watched,
    ):
        watched.wait_streaming({"gate"})
        analysed = Analysed(watched.edge.settings.state_directory / "journal.db")
        for more in kinds:
            for name in COMPONENTS:
                pid = watched.edge.core.states()[name].pid
                assert pid is not None
                one_round(watched, analysed, name, processes(pid) if more is None else descriptors(pid, more), found)
    control, n = spin(), len(found.busy)
    wrong = len(found.failed) + sum(each > CPU_GOAL for each in found.busy) + sum(each > 0 for each in found.left)
    late = sum(each > BACK_GOAL_S for each in found.back_s)
    row = Row(
        "P5",
        "processor taken by a component that gets no descriptor or process for a new child, most",
        round(100 * max(found.busy), 1),
        "%",
        n,
        f"<= {100 * CPU_GOAL:.0f} %; back by itself in {BACK_GOAL_S:.0f} s; nothing left open",
        passed=not wrong and not late and control > CPU_GOAL,
        upper95=upper95(min(n, wrong + late), n),
        control=Control("somebody who tries again at once", round(100 * control), control > CPU_GOAL),
        notes=f"All children of a running component killed while it may open {kinds[0]} to {max(k or 0 for k in kinds)} descriptors more"
        f"{', or start no process' if None in kinds else ''}; after {WITHOUT_S:.0f} s it may again. Back after "
        f"{max(found.back_s, default=0):.1f} s at most; descriptors more than before: {max(found.left, default=0)}. {'; '.join(found.failed)}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (row, found)
