"""Four simulated cameras, live, report what the backtest of the same recordings reports, loop after loop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.edge.running import running, site_watch
from tests.examples.test_examples_on_recordings import backtest
from vedette.cli.demo import FOOTAGE
from vedette.contracts.alert import Alert
from vedette.local.simulated import LoopStart, SimulatedCameras

TOLERANCE_S = 0.5
SEAM_S = 1.0

pytestmark = [pytest.mark.footage, pytest.mark.processes, pytest.mark.slow]


def by_loop(alerts: Iterable[Alert], loops: Iterable[LoopStart]) -> dict[tuple[str, int], list[tuple[str, str, float]]]:
    """(camera, loop) → (rule, label or count, seconds since the loop's start), sorted."""
    starts = sorted(loops, key=lambda start: start.wall_time_s)
    found: dict[tuple[str, int], list[tuple[str, str, float]]] = {(s.camera, s.loop): [] for s in starts}
    for alert in alerts:
        moment_s = alert.time.timestamp()
        mine = [s for s in starts if s.camera == alert.camera and s.wall_time_s <= moment_s + 0.01]
        if mine:
            found[alert.camera, mine[-1].loop].append((alert.rule, alert.label, moment_s - mine[-1].wall_time_s))
    return {key: sorted(value, key=lambda entry: (entry[0], entry[2])) for key, value in found.items()}


def away_from_seam(events: Iterable[tuple[str, str, float]], duration_s: float) -> list[tuple[str, str, float]]:
    return [event for event in events if SEAM_S <= event[2] <= duration_s - SEAM_S]


def compare(camera: str, wanted: list[tuple[str, str, float]], got: list[tuple[str, str, float]]) -> list[str]:
    if [event[:2] for event in wanted] != [event[:2] for event in got]:
        return [f"{camera}: wanted {wanted}, got {got}"]
    return [
        f"{camera}: {w[0]} at {w[2]:.2f} s reported at {g[2]:.2f} s"
        for w, g in zip(wanted, got, strict=True)
        if abs(w[2] - g[2]) > TOLERANCE_S
    ]


def live_against_backtest(cameras: list[str], loops: int, data: Path, root: Path) -> None:
    """Run the cameras live for ``loops`` whole loops each and compare every whole loop."""
    expected = backtest("site_watch", "yolox", data, root / "bt", cameras)
    files = {name: data / "videos" / FOOTAGE[name] for name in cameras}
    with SimulatedCameras(files, log_file=root / "simulator.log") as simulated:
        with running(site_watch(data, root / "models"), simulated.urls, root / "run") as watched:
            watched.wait_streaming(set(cameras))
            begin = {start.camera: start.loop + 1 for start in simulated.loops()}
            last = {name: begin[name] + loops for name in cameras}
            limit_s = time.monotonic() + 600.0
            while any(max(s.loop for s in simulated.loops() if s.camera == n) < last[n] for n in cameras):
                assert time.monotonic() < limit_s
                time.sleep(0.2)
            time.sleep(2.0)  # what happened before the last seam is on its way
        starts = simulated.loops()
        found = by_loop(watched.alerts(), starts)
    duration_s = {start.camera: start.duration_s for start in starts}
    problems: list[str] = []
    near_seam = Counter[str]()
    for name in cameras:
        events = [(a.rule, a.label, a.media_time_s) for a in expected if a.camera == name]
        wanted = away_from_seam(sorted(events, key=lambda e: (e[0], e[2])), duration_s[name])
        for loop in range(begin[name], last[name]):
            got = found[name, loop]
            near_seam[name] += len(got) - len(away_from_seam(got, duration_s[name]))
            problems += compare(f"{name} loop {loop}", wanted, away_from_seam(got, duration_s[name]))
    print(f"events within {SEAM_S} s of a seam, not compared: {dict(near_seam)}")
    assert problems == []
    ids = [alert.alert_id for alert in watched.alerts()]
    assert len(set(ids)) == len(ids)


@pytest.mark.timeout(240)
def test_loops_of_a_short_recording(shared_data: Path, short_tmp: Path) -> None:
    live_against_backtest(["floor"], 3, shared_data, short_tmp)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_two_loops_of_all_four(shared_data: Path, short_tmp: Path) -> None:
    live_against_backtest(["hall", "floor", "lane", "shelf"], 2, shared_data, short_tmp)
