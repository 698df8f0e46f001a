"""R9, R12, R3-model: processes killed and stopped at random moments, hundreds of times; supervisors."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.processes import descendants
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
#: What children do. Without the first two no picture is analysed.
CAMERA, MODEL, OTHER = "camera", "model", "other"
#: One strike in so many is at something else; one in so many stops instead of killing: the watchdog has to find that out.
OTHER_EVERY, STOP_EVERY = 3, 7


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


@dataclass(frozen=True)
class Strike:
    """One process that was killed or stopped.

    Attributes:
        part: what it did.
        stopped: instead of killed.
        back_s: until the next picture was analysed.
    """

    part: str
    stopped: bool
    back_s: float


def part_of(pid: int) -> str:
    """What a child of a component does for the analysis.

    A camera's process that is a copy has the command line and the parent of what it was copied from. That one is asked
    for copies by a socket in place of its standard input, which no copy has.
    """
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    if b"inference.model" in command:
        return MODEL
    copy = b"camera_ingest.template" in command and not os.readlink(f"/proc/{pid}/fd/0").startswith("socket:")
    return CAMERA if copy or b"camera_ingest.camera" in command else OTHER


def _children(watched: Watched) -> dict[int, str]:
    """Every process below the components' first ones, and what it does."""
    mains, found = watched.mains(), {}
    for pid in sorted(descendants(mains) - mains):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found[pid] = part_of(pid)
    return found


def _victim(children: dict[int, str], number: int, rng: random.Random) -> int:
    """Who is next: the camera's process and the model's by turns, and every so often one of the others."""
    wanted = OTHER if number % OTHER_EVERY == OTHER_EVERY - 1 else (CAMERA, MODEL)[number % 2]
    return rng.choice([pid for pid, part in children.items() if part == wanted] or list(children))


def struck(watched: Watched, analysed: Analysed, rounds: int, rng: random.Random) -> list[Strike]:
    """Kill and stop children one after the other, each at a random moment after pictures are analysed again."""
    strikes = []
    for number in range(rounds):
        children = _children(watched)
        victim, stopped = _victim(children, number, rng), number % STOP_EVERY == STOP_EVERY - 1
        struck_s = time.monotonic()
        try:
            os.kill(victim, signal.SIGSTOP if stopped else signal.SIGKILL)
        except ProcessLookupError:  # it has ended by itself meanwhile
            continue
        # What was on its way already may still come.
        back_s = analysed.first_after_s("gate", struck_s + 0.15, 30.0) - struck_s
        strikes.append(Strike(children[victim], stopped, back_s))
        time.sleep(rng.uniform(0.0, 1.2))
    return strikes


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


@pytest.mark.timeout(1200)
def test_kills_of_children_cost_nothing(short_tmp: Path) -> None:
    rounds, begun_s = size(quick=15, full=240), time.monotonic()
    with visited(short_tmp, 100) as (watched, analysed, start_s):
        time.sleep(5.0)
        mains = {name: watched.edge.core.states()[name].pid for name in COMPONENTS}
        parts = Counter(_children(watched).values())
        assert (parts[CAMERA], parts[MODEL]) == (1, 1), parts
        state = watched.edge.settings.state_directory
        before, first_s, kills_s = _holdings(watched.mains(), state), time.time() - start_s, time.monotonic()
        strikes = struck(watched, analysed, rounds, random.Random(seed()))
        rate = sum(not strike.stopped for strike in strikes) / (time.monotonic() - kills_s) * 3600
        time.sleep(PERIOD_S + STAY_S)
        last_s = time.time() - start_s - STAY_S
        # Less one: what cameras' processes are copied from is started anew with the next copy.
        wait_until(lambda: len(descendants(watched.mains())) >= before["processes"] - 1, 30, "all processes are back")
        after, states = _holdings(watched.mains(), state), watched.edge.core.states()
        assert {name: states[name].pid for name in COMPONENTS} == mains, "a component was restarted"
        assert all(states[name].state is ComponentState.RUNNING for name in COMPONENTS)
        alerts = [alert for alert in watched.alerts() if first_s < alert.time.timestamp() - start_s]
    expected = [begin for begin, _ in visits(100) if first_s + 1.0 <= begin <= last_s - 4.0]
    (short_tmp / "control").mkdir()
    kinds = _meter_sees_holdings(short_tmp / "control")
    rows = [
        kills_row(strikes, rate),
        stops_row(strikes),
        model_row(strikes),
        alerts_row(alerts, expected, start_s),
        holdings_row(len(strikes), before, after, kinds),
    ]
    for row in rows:
        record(row, time.monotonic() - begun_s)
    assert [row for row in rows if not row.passed] == []


def _back_s(strikes: Sequence[Strike], *parts: str, stopped: bool) -> list[float]:
    return [strike.back_s for strike in strikes if strike.part in parts and strike.stopped is stopped]


def kills_row(strikes: Sequence[Strike], rate: float) -> Row:
    """Of processes without which no picture is analysed; a kill of another one is over before it began."""
    backs_s = _back_s(strikes, CAMERA, MODEL, stopped=False)
    others_s = _back_s(strikes, OTHER, stopped=False)
    p95 = percentile(backs_s, 0.95)
    return Row(
        id="R9",
        name="kill -9 of a camera's or a model's process → next picture analysed, p95",
        value=round(p95, 2),
        unit="s",
        n=len(backs_s),
        goal="≤ 3 s, ≥ 1,000 kills an hour with every component RUNNING",
        passed=p95 <= 3.0 and rate >= 1000 and len(backs_s) >= size(quick=1, full=100),
        anchors=(Anchor("Greengrass alone", "BROKEN at the third error within the hour", "documented"),),
        seed=seed(),
        notes=f"The camera's {len(_back_s(strikes, CAMERA, stopped=False))} times, the model's "
        f"{len(_back_s(strikes, MODEL, stopped=False))} times; p50 {statistics.median(backs_s):.2f} s, longest "
        f"{max(backs_s):.2f} s. Not in it: {len(others_s)} kills of others (what cameras' processes are copied from, the worker of alerting), "
        f"after which the next picture came within {max(others_s, default=0.0):.2f} s, and SIGSTOPs (R9-stops). {rate:,.0f} kills an "
        "hour of all of them; no component counted a failure.",
    )


def stops_row(strikes: Sequence[Strike]) -> Row:
    """A stopped process has to be found out first."""
    backs_s = _back_s(strikes, CAMERA, MODEL, stopped=True)
    others_s = _back_s(strikes, OTHER, stopped=True)
    p95 = percentile(backs_s, 0.95)
    return Row(
        id="R9-stops",
        name="SIGSTOP of a camera's or a model's process → next picture analysed, p95",
        value=round(p95, 2),
        unit="s",
        n=len(backs_s),
        goal="≤ 6 s: found out and replaced within 3 s, then as after a kill",
        passed=p95 <= 6.0,
        seed=seed(),
        notes=f"p50 {statistics.median(backs_s):.2f} s, longest {max(backs_s):.2f} s, the two seconds that a process may be silent "
        f"included. Not in it: {len(others_s)} SIGSTOPs of others.",
    )


def model_row(strikes: Sequence[Strike]) -> Row:
    """The cameras of a model share its process."""
    backs_s = _back_s(strikes, MODEL, stopped=False)
    return Row(
        id="R3-model",
        name="Extra gap of other cameras of the same model when its process is killed, longest",
        value=round(1000 * max(backs_s)),
        unit="ms",
        n=len(backs_s),
        goal="≤ 200 ms",
        passed=max(backs_s) <= 0.2,
        seed=seed(),
        notes=f"From the kill to the next analysed picture; p50 {1000 * statistics.median(backs_s):.0f} ms. Every camera of that model "
        "pauses until the process is replaced; cameras of other models, which have processes of their own, do not.",
    )


def alerts_row(alerts: list[Alert], expected: list[float], start_s: float) -> Row:
    lost, doubled = compared(alerts, expected, start_s)
    missed, _ = compared(alerts[2:], expected, start_s)
    n = 2 * len(expected)
    return Row(
        id="R9-alerts",
        name="Alerts lost or doubled at the receiver over these kills",
        value=lost + doubled,
        unit="alerts",
        n=n,
        goal="0",
        passed=lost == doubled == 0 and missed > 0,
        upper95=upper95(min(lost + doubled, n), n),
        control=Control("two of the alerts taken out of the file", missed, missed > 0),
        seed=seed(),
        notes=f"{n} expected, {len(alerts)} received since the first kill, {lost} lost, {doubled} doubled.",
    )


def holdings_row(n: int, before: dict[str, int], after: dict[str, int], kinds: int) -> Row:
    more = sum(max(0, after[name] - before[name]) for name in after)
    return Row(
        id="R12",
        name="Descriptors and threads of first processes, processes, shared memory and sockets left behind",
        value=more,
        unit="",
        n=n,
        goal="0",
        passed=more == 0 and kinds == len(after),
        control=Control("one more of each of these five, of the test's own process: seen", kinds, kinds == len(after)),
        seed=seed(),
        notes=", ".join(f"{name} {before[name]} → {after[name]}" for name in after),
    )


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
