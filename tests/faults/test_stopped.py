"""P2, T2: first processes of components that stand still for a while, and a device that does as a whole."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bench.processes import descendants
from tests.edge.faults_support import Analysed
from tests.edge.running import Watched, wait_until
from tests.faults.scorecard import Control, Row, record, size, upper95
from tests.faults.test_processes import PERIOD_S, STAY_S, compared, visited, visits
from vedette.contracts.alert import Alert
from vedette.local.core import ComponentState

pytestmark = [pytest.mark.processes]

STOPPED: Final = ("vedette.CameraIngest", "vedette.Inference", "vedette.Alerting")
GAP_GOAL_S: Final = 2.0
BACK_GOAL_S: Final = 10.0


@dataclass
class Happened:
    """What was seen."""

    gaps_s: dict[str, float] = field(default_factory=dict)
    replaced: int = 0
    back_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    failures: int = 0


def stand_still(pids: Iterable[int], seconds: float) -> None:
    """Nothing of them runs for so long."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def supervisors(watched: Watched, analysed: Analysed, seconds: float, happened: Happened) -> None:
    """One after the other; their children are to go on."""
    for name in STOPPED:
        main = watched.edge.core.states()[name].pid
        assert main is not None
        children, begun_s = descendants([main]) - {main}, time.monotonic()
        stand_still([main], seconds)
        time.sleep(3.0)
        happened.gaps_s[name] = analysed.pace("gate", begun_s, time.monotonic() - 1.0).longest_gap_s
        happened.replaced += len(children - descendants([main]))


def everything(watched: Watched, analysed: Analysed, seconds: float, happened: Happened) -> None:
    """All components at once, as where a virtual machine is paused."""
    before = len(analysed.batches("gate"))
    stand_still(sorted(descendants(watched.mains())), seconds)
    resumed_s = time.monotonic()
    happened.back_s = analysed.first_after_s("gate", resumed_s, 60.0) - resumed_s
    wait_until(lambda: len(analysed.batches("gate")) > before + 50, 60, "pictures go on")
    happened.reasons = Counter(b.frame.gap_reason for b in analysed.batches("gate")[before:] if b.frame.gap_reason)
    states = watched.edge.core.states()
    happened.failures = sum(status.failures for status in states.values())
    happened.failures += sum(status.state is not ComponentState.RUNNING for status in states.values())


def test_p2_t2_stopped_for_a_while(short_tmp: Path) -> None:
    begun_s, happened = time.monotonic(), Happened()
    short_s, long_s = size(quick=10.0, full=30.0), size(quick=20.0, full=60.0)
    with visited(short_tmp, 30) as (watched, analysed, start_s):
        time.sleep(3.0)
        first_s = time.time() - start_s
        supervisors(watched, analysed, short_s, happened)
        time.sleep(PERIOD_S)
        from_s = time.time() - start_s
        everything(watched, analysed, long_s, happened)
        to_s = time.time() - start_s
        time.sleep(PERIOD_S + STAY_S)
        last_s = time.time() - start_s - STAY_S
        alerts = [alert for alert in watched.alerts() if first_s < alert.time.timestamp() - start_s]
    begins = [begin for begin, _ in visits(30) if first_s + 1.0 <= begin <= last_s - 4.0]
    sure = [begin for begin in begins if begin + STAY_S < from_s or begin > to_s]
    judge(alerts, sure, start_s, happened, short_s, long_s, time.monotonic() - begun_s)


def judge(
    alerts: list[Alert],
    sure: list[float],
    start_s: float,
    happened: Happened,
    short_s: float,
    long_s: float,
    seconds: float,
) -> None:
    """Both rows."""
    lost, doubled = compared(alerts, sure, start_s)
    taken = [alert for alert in alerts if sure[0] <= alert.time.timestamp() - start_s < sure[0] + STAY_S]
    missed, _ = compared([alert for alert in alerts if alert not in taken], sure, start_s)
    worst = max(happened.gaps_s.values())
    control = Control("the alerts of one visit taken out of the file", missed, missed > 0)
    rows = (
        Row(
            id="P2",
            name=f"first process of a component stopped for {short_s:.0f} s: longest time without an analysed picture",
            value=round(worst, 2),
            unit="s",
            n=len(happened.gaps_s),
            goal=f"<= {GAP_GOAL_S:.0f} s, no alert lost or doubled, no child replaced",
            passed=worst <= GAP_GOAL_S and not (lost or doubled or happened.replaced) and missed > 0,
            control=control,
            notes=f"{happened.replaced} children replaced; {len(alerts)} alerts, {lost} lost, {doubled} doubled. Children that are "
            "stopped are replaced after two seconds: see R9-stops.",
        ),
        Row(
            id="T2",
            name=f"every process stopped for {long_s:.0f} s: alerts lost or doubled of visits before and after",
            value=lost + doubled,
            unit="alerts",
            n=2 * len(sure),
            goal=f"0; one gap told; pictures within {BACK_GOAL_S:.0f} s; no component failed",
            passed=not (lost or doubled or happened.failures)
            and sum(happened.reasons.values()) == 1
            and happened.back_s <= BACK_GOAL_S
            and missed > 0,
            upper95=upper95(min(lost + doubled, 2 * len(sure)), 2 * len(sure)),
            control=control,
            notes=f"First picture {happened.back_s:.1f} s after it goes on; gaps told: {dict(happened.reasons)}; "
            f"{happened.failures} components failed. The cameras go on meanwhile, as where a virtual machine is paused; a device that "
            "sleeps stops its monotonic clock as well, which cannot be had here.",
        ),
    )
    for row in rows:
        record(row, seconds)
    for row in rows:
        assert row.passed, row
