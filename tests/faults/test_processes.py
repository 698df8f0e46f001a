"""R9, R10, R12: processes killed and stopped at random moments, hundreds of times; supervisors; starts."""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.processes import descendants, started_s
from tests.edge.faults_support import Analysed, percentile
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, running, wait_until
from tests.faults.scorecard import Anchor, Control, Row, record, seed, size, upper95
from vedette.contracts.alert import Alert
from vedette.contracts.manifest import Manifest, Tracker
from vedette.local.core import ComponentState
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes]

#: The rectangle comes every so often and stays; each visit is one alert of each rule.
PERIOD_S, STAY_S, DWELL_S = 15.0, 9.0, 1.0
RULES = {"enters": {"type": "zone_entered", "zone": ZONE}, "stays": {"type": "dwell", "zone": ZONE, "for_s": DWELL_S}}
COMPONENTS = ("vedette.CameraIngest", "vedette.Inference", "vedette.Alerting", "vedette.AppHost")
#: One in so many is stopped instead of killed: the watchdog has to find that out first.
STOP_EVERY = 7


def visits(count: int) -> list[tuple[float, float]]:
    return [(PERIOD_S * n + 1.0, PERIOD_S * n + 1.0 + STAY_S) for n in range(count)]


def watching(root: Path) -> Manifest:
    """With the tracker as it is by default: objects keep their number for longer than a killed process is away."""
    manifest = application("visits", model(root), ["gate"], RULES)
    main = manifest.pipelines["main"].model_copy(update={"tracker": Tracker()})
    return manifest.model_copy(update={"pipelines": {"main": main}})


@contextmanager
def visited(root: Path, count: int) -> Iterator[tuple[Watched, Analysed, float]]:
    """A running gate with so many visits in its recording; what it analysed; when the recording began, Unix time."""
    files = {"gate": clip(root / "gate.mp4", visits(count), PERIOD_S * count)}
    with (
        SimulatedCameras(files, log_file=root / "simulator.log") as simulated,
        running(watching(root), simulated.urls, root / "run") as watched,
    ):
        watched.wait_streaming({"gate"})
        start_s = simulated.loops()[0].wall_time_s
        yield watched, Analysed(watched.edge.settings.state_directory / "journal.db"), start_s


def _children(watched: Watched) -> list[int]:
    """Every process below the components' first ones, but for those that are being copied into being."""
    mains = watched.mains()
    return sorted(descendants(mains) - mains)


def _holdings(mains: set[int], state: Path) -> dict[str, int]:
    """Descriptors and threads of first processes, number of processes, named shared memory, sockets."""
    return {
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in mains),
        "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in mains),
        "processes": len(descendants(mains)),
        "shared memory": len(list(Path("/dev/shm").iterdir())),
        "sockets in the state directory": len(list((state / "run").rglob("*.sock"))),
    }


def _meter_sees_holdings(folder: Path) -> int:
    """How many kinds of things the same count shows more of, once this process holds one more of each."""
    (folder / "run").mkdir()
    me, ended = {os.getpid()}, threading.Event()
    before = _holdings(me, folder)
    held = Path(f"/dev/shm/vedette-control-{os.getpid()}")
    held.touch()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    with socket.socket(socket.AF_UNIX) as left, subprocess.Popen(["sleep", "60"]) as child:
        left.bind(str(folder / "run" / "left.sock"))
        after = _holdings(me, folder)
        child.kill()
    ended.set()
    thread.join()
    held.unlink()
    return sum(after[name] > before[name] for name in after)


def test_kills_of_children_cost_nothing(short_tmp: Path) -> None:
    rounds, rng, begun_s = size(quick=15, full=150), random.Random(seed()), time.monotonic()
    recoveries: list[float] = []
    with visited(short_tmp, 100) as (watched, analysed, start_s):
        time.sleep(5.0)
        mains = {name: watched.edge.core.states()[name].pid for name in COMPONENTS}
        state = watched.edge.settings.state_directory
        before, first_s, kills_s = _holdings(watched.mains(), state), time.time() - start_s, time.monotonic()
        for number in range(rounds):
            victims = _children(watched)
            how = signal.SIGSTOP if number % STOP_EVERY == STOP_EVERY - 1 else signal.SIGKILL
            struck_s = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(victims), how)
            # A stopped process is found out after two seconds; whoever was killed may not be part of the analysis.
            found_out_s = 2.0 if how is signal.SIGSTOP else 0.0
            recoveries.append(analysed.first_after_s("gate", struck_s + 0.15, 30.0) - struck_s - found_out_s)
            time.sleep(rng.uniform(0.0, 1.2))
        rate = rounds / (time.monotonic() - kills_s) * 3600
        time.sleep(PERIOD_S + STAY_S)
        last_s = time.time() - start_s - STAY_S
        # Less one: what cameras' processes are copied from is started anew with the next copy.
        wait_until(lambda: len(descendants(watched.mains())) >= before["processes"] - 1, 30, "all processes are back")
        after, states = _holdings(watched.mains(), state), watched.edge.core.states()
        assert {name: states[name].pid for name in COMPONENTS} == mains, "a component was restarted"
        assert all(states[name].state is ComponentState.RUNNING for name in COMPONENTS)
        alerts = [alert for alert in watched.alerts() if first_s < alert.time.timestamp() - start_s]
    expected = [begin for begin, _ in visits(100) if first_s + 1.0 <= begin <= last_s - 4.0]
    lost, doubled = compared(alerts, expected, start_s)
    missed, _ = compared(alerts[2:], expected, start_s)
    p95 = percentile(recoveries, 0.95)
    record(
        Row(
            id="R9",
            name="kill -9 of any child → next picture analysed, p95",
            value=round(p95, 2),
            unit="s",
            n=rounds,
            goal="≤ 3 s, ≥ 1,000 kills an hour with every component RUNNING",
            passed=p95 <= 3.0 and rate >= 1000,
            anchors=(Anchor("Greengrass alone", "BROKEN at the third error within the hour", "documented"),),
            seed=seed(),
            notes=f"{rate:,.0f} kills an hour, one in {STOP_EVERY} a SIGSTOP (its two seconds until it is found out taken off); "
            f"p50 {statistics.median(recoveries):.2f} s, longest {max(recoveries):.2f} s; no component counted a failure.",
        ),
        time.monotonic() - begun_s,
    )
    record(
        Row(
            id="R9-alerts",
            name="Alerts lost or doubled at the receiver over these kills",
            value=lost + doubled,
            unit="alerts",
            n=2 * len(expected),
            goal="0",
            passed=lost == doubled == 0 and missed > 0,
            upper95=upper95(min(lost + doubled, 2 * len(expected)), 2 * len(expected)),
            control=Control("two of the alerts taken out of the file", missed, missed > 0),
            seed=seed(),
            notes=f"{2 * len(expected)} expected, {len(alerts)} received since the first kill, {lost} lost, {doubled} doubled.",
        ),
        time.monotonic() - begun_s,
    )
    grown = {name: after[name] - before[name] for name in after}
    more = sum(max(0, value) for value in grown.values())
    (short_tmp / "control").mkdir()
    kinds = _meter_sees_holdings(short_tmp / "control")
    record(
        Row(
            id="R12",
            name="Descriptors and threads of first processes, processes, shared memory and sockets left behind",
            value=more,
            unit="",
            n=rounds,
            goal="0",
            passed=more == 0 and kinds == len(after),
            control=Control(
                "one more of each of these five, of the test's own process: seen", kinds, kinds == len(after)
            ),
            seed=seed(),
            notes=", ".join(f"{name} {before[name]} → {after[name]}" for name in after),
        ),
        time.monotonic() - begun_s,
    )
    assert p95 <= 3.0
    assert (lost, doubled) == (0, 0)
    assert missed > 0
    assert more == 0, grown
    assert kinds == len(after)


def compared(alerts: list[Alert], expected: list[float], start_s: float) -> tuple[int, int]:
    """Visits that a rule did not report, and reports too many."""
    lost = doubled = 0
    for rule in RULES:
        found = Counter(
            begin
            for alert in alerts
            if alert.rule == rule
            for begin in expected
            if begin - 0.5 <= alert.time.timestamp() - start_s < begin + STAY_S
        )
        lost += sum(1 for begin in expected if not found[begin])
        doubled += sum(count - 1 for count in found.values() if count > 1)
    return lost, doubled + len(alerts) - len({alert.alert_id for alert in alerts})


def test_supervisors_follow_the_rule_of_the_nucleus(short_tmp: Path) -> None:
    """Two kills within the hour recover, the third is BROKEN, as on the real nucleus."""
    begun_s, told = time.monotonic(), []
    with visited(short_tmp, 20) as (watched, analysed, _):
        core, name = watched.edge.core, "vedette.Inference"
        for _ in range(2):
            pid = core.states()[name].pid
            assert pid is not None
            struck_s = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            told.append(analysed.first_after_s("gate", struck_s + 0.3, 60) - struck_s)
            wait_until(lambda: core.states()[name].state is ComponentState.RUNNING, 30, "it runs again")
            time.sleep(1.0)
        pid = core.states()[name].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: core.states()[name].state is ComponentState.BROKEN, 30, "it is given up")
    record(
        Row(
            id="R9-supervisors",
            name="kill -9 of a supervisor → next picture analysed, longest of two; the third is BROKEN",
            value=round(max(told), 2),
            unit="s",
            n=3,
            goal="recovers twice, BROKEN at the third",
            passed=True,
            notes="The rule of the nucleus, unmodified: what starts the children is the one process that must not fail.",
        ),
        time.monotonic() - begun_s,
    )


def test_starts(short_tmp: Path) -> None:
    """From the start of everything to the first analysed picture, with files in the page cache and without."""
    begun_s = time.monotonic()
    warm: list[float] = []
    cold: list[float] = []
    may_drop = os.access("/proc/sys/vm/drop_caches", os.W_OK)
    file = clip(short_tmp / "gate.mp4", [(0.0, 60.0)], 60.0)
    with SimulatedCameras({"gate": file}, log_file=short_tmp / "simulator.log") as simulated:
        for number in range(size(quick=2, full=8)):
            drop = may_drop and number % 2 == 1
            if drop:
                os.sync()
                Path("/proc/sys/vm/drop_caches").write_text("3")
            with running(watching(short_tmp), simulated.urls, short_tmp / f"run{number}") as watched:
                analysed = Analysed(watched.edge.settings.state_directory / "journal.db")
                first_s = analysed.first_after_s("gate", 0.0, 60, math.inf)
                took_s = first_s - min(started_s(pid) for pid in watched.mains())
            (cold if drop else warm).append(took_s)
    value = statistics.median(warm)
    record(
        Row(
            id="R10",
            name="Start of the first process → first analysed picture, files in the page cache",
            value=round(value, 2),
            unit="s",
            n=len(warm),
            goal="≤ 3 s (≤ 1.5 s wanted)",
            passed=value <= 3.0,
            notes="All components, not only the process with the model. With the page cache "
            f"emptied: {statistics.median(cold):.2f} s ({len(cold)} times)."
            if cold
            else "The page cache was not emptied: that needs root.",
        ),
        time.monotonic() - begun_s,
    )
    assert value <= 3.0
