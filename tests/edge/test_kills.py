"""kill -9 of each child in turn, of all at once and of a supervisor, amid visits: nothing lost or doubled."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.processes import descendants
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, running, wait_until
from tests.examples.expected import EXAMPLES
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.demo import FOOTAGE
from vedette.cli.run import with_resolved_models
from vedette.local.core import ComponentState
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes, pytest.mark.slow]

#: Of the made-up recording: the rectangle comes every so often and stays.
PERIOD_S, STAY_S, DWELL_S = 14.0, 9.0, 1.0
RULES = {
    "enters": {"type": "zone_entered", "zone": ZONE, "severity": "info"},
    "stays": {"type": "dwell", "zone": ZONE, "for_s": DWELL_S},
}
#: Facts of the recording (see examples/people_flow/tests), as far as the test goes.
LEAVES_S = [18.9, 43.9, 68.9, 85.9]
DWELLS_S = [12.4, 29.2, 56.8, 81.2]
END_S = 89.0
TOLERANCE_S = 1.0


def children(watched: Watched, component: str) -> list[int]:
    """Processes below a component's main process."""
    main = watched.edge.core.states()[component].pid
    assert main is not None
    return sorted(descendants([main]) - {main})


def kill(pids: list[int]) -> None:
    assert pids, "nothing to kill"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def components(watched: Watched) -> list[Callable[[], list[int]]]:
    """The children of each component, as they are when asked."""
    return [
        lambda name=name: children(watched, name)  # type: ignore[misc]
        for name in ("vedette.CameraIngest", "vedette.Inference", "vedette.Alerting")
    ]


@pytest.mark.timeout(240)
def test_killed_between_and_amid_made_up_visits(short_tmp: Path) -> None:
    """Each visit is reported once by each rule, at its time, whoever was killed before or while it lasts."""
    visits = [(PERIOD_S * n + 1.0, PERIOD_S * n + 1.0 + STAY_S) for n in range(16)]
    files = {"gate": clip(short_tmp / "gate.mp4", visits, PERIOD_S * len(visits))}
    visit = application("visits", model(short_tmp), ["gate"], RULES)
    with SimulatedCameras(files, log_file=short_tmp / "simulator.log") as simulated:
        wait_until(lambda: len(simulated.loops()) > 0, 10, "the recording starts")
        start_s = simulated.loops()[0].wall_time_s
        with running(visit, simulated.urls, short_tmp / "run") as watched:
            watched.wait_streaming({"gate"})
            core = watched.edge.core
            pids_before = {name: status.pid for name, status in core.states().items()}
            ingest, inference, alerting = components(watched)
            first = math.ceil((time.time() - start_s) / PERIOD_S)
            amid_s, before_s = 1.0 + DWELL_S + 3.0, -4.0  # time for a busy machine to report and to start anew
            schedule: list[tuple[float, Callable[[], list[int]]]] = [
                (amid_s, inference),  # reported already, and it stays on
                (PERIOD_S + before_s, ingest),
                (2 * PERIOD_S + before_s, alerting),
                (2 * PERIOD_S + amid_s, lambda: [*ingest(), *inference(), *alerting()]),
            ]
            for moment_s, victims in schedule:
                at_s = start_s + PERIOD_S * first + moment_s
                wait_until(lambda at_s=at_s: time.time() >= at_s, 60, f"{moment_s} s")  # type: ignore[misc]
                kill(victims())
            wait_until(lambda: time.time() - start_s >= PERIOD_S * (first + 3) + amid_s, 60, "the visit after")
            states = core.states()
            assert {name: status.pid for name, status in states.items()} == pids_before, "a component was restarted"
            assert all(status.state is ComponentState.RUNNING for status in states.values())
            supervisor = states["vedette.Inference"].pid
            assert supervisor is not None
            kill([supervisor])  # as on a nucleus: started again, counted once
            wait_until(lambda: time.time() - start_s >= PERIOD_S * (first + 4) + amid_s, 60, "the last visit")
            assert core.states()["vedette.Inference"].state is ComponentState.RUNNING
            assert core.states()["vedette.Inference"].failures == 1
            alerts = watched.alerts()
    wanted = [PERIOD_S * (first + n) + 1.0 for n in range(5)]
    for rule, after_s in (("enters", 0.0), ("stays", DWELL_S)):
        times = sorted(alert.time.timestamp() - start_s for alert in alerts if alert.rule == rule)
        mine = [t for t in times if PERIOD_S * first <= t]
        assert mine == pytest.approx([t + after_s for t in wanted], abs=TOLERANCE_S), rule
    assert len({alert.alert_id for alert in alerts}) == len(alerts)


@pytest.mark.faults
@pytest.mark.footage
@pytest.mark.timeout(240)
def test_killed_in_the_middle_of_visits(shared_data: Path, short_tmp: Path) -> None:
    path = EXAMPLES / "people_flow" / "vedette.yaml"
    store = ModelStore(short_tmp / "models")
    store.add_file(shared_data / "models" / "yolox_nano.onnx")
    manifest = with_resolved_models(load_manifest(path), path.parent, store)
    files = {"hall": shared_data / "videos" / FOOTAGE["hall"]}
    with SimulatedCameras(files, log_file=short_tmp / "simulator.log") as simulated:
        wait_until(lambda: len(simulated.loops()) > 0, 10, "the recording starts")
        start_s = simulated.loops()[0].wall_time_s
        with running(manifest, simulated.urls, short_tmp / "run") as watched:
            watched.wait_streaming({"hall"})
            assert time.time() - start_s < DWELLS_S[0] - 2, "the edge side took too long to start for this test"
            core = watched.edge.core
            pids_before = {name: status.pid for name, status in core.states().items()}
            everything = components(watched)
            schedule: list[tuple[float, Callable[[], list[int]]]] = [
                (14.5, everything[1]),  # dwell reported already, the crossing still to come
                (26.5, everything[0]),  # before the dwell of the second visit
                (53.5, everything[2]),
                (63.0, lambda: [pid for pids in everything for pid in pids()]),
            ]
            for moment_s, victims in schedule:
                wait_until(lambda m=moment_s: time.time() - start_s >= m, 60, f"{moment_s} s")  # type: ignore[misc]
                kill(victims())
            wait_until(lambda: time.time() - start_s >= 71.5, 60, "71.5 s")
            states = core.states()
            assert {name: status.pid for name, status in states.items()} == pids_before, "a component was restarted"
            assert all(status.state is ComponentState.RUNNING for status in states.values())
            wait_until(lambda: time.time() - start_s >= 77.0, 60, "77 s")
            supervisor = states["vedette.Inference"].pid
            assert supervisor is not None
            kill([supervisor])  # as on a nucleus: started again, counted once
            wait_until(lambda: time.time() - start_s >= END_S, 60, f"{END_S} s")
            assert core.states()["vedette.Inference"].state is ComponentState.RUNNING
            assert core.states()["vedette.Inference"].failures == 1
            alerts = watched.alerts()
    times = {
        rule: sorted(round(a.time.timestamp() - start_s, 2) for a in alerts if a.rule == rule)
        for rule in ("leaves-right", "table-dwell")
    }
    assert times["leaves-right"] == pytest.approx(LEAVES_S, abs=TOLERANCE_S)
    assert times["table-dwell"] == pytest.approx(DWELLS_S, abs=TOLERANCE_S)
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
