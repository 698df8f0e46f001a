"""What motion gating spares, and what it costs in events."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from bench.footage import model, recording
from bench.processes import cpu_s
from bench.result import Figure, Row
from bench.system import application
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert
from vedette.local.camera_arguments import parse_camera_arguments

VIDEOS = ("one-by-one-person-detection.mp4", "person-parking-lot-7sec.mp4", "Retail02_short.mp4")
FPS = 5.0
TOLERANCE_S = 0.5


def measure(quick: bool) -> Row:
    """Every recording with and without."""
    figures = []
    for name in VIDEOS[1:2] if quick else VIDEOS:
        used_s = cpu_s([os.getpid()])
        every, ran = _run(name)
        full_s = cpu_s([os.getpid()]) - used_s
        gated, ran_gated = _run(name, motion={})
        gated_s = cpu_s([os.getpid()]) - used_s - full_s
        kept, added = _compared(every, gated)
        figures += [
            Figure(f"{name}: runs of the model spared", "%", (100 * (1 - ran_gated / max(1, ran)),)),
            Figure(f"{name}: processor spared", "%", (100 * (1 - gated_s / full_s),)),
            Figure(f"{name}: events kept, of {len(every)}", "%", (100 * kept / max(1, len(every)),)),
            Figure(f"{name}: events that are there only with it", "", (float(added),)),
        ]
    return Row(
        "motion",
        "Motion gating: what it spares and what it keeps",
        "python -m bench motion",
        f"Recordings as backtests at {FPS:g} pictures a second, with `motion: {{}}` and without; an event is kept where the same "
        f"rule fires within {TOLERANCE_S:g} s. These recordings are busy: an empty yard at night spares nearly everything.",
        tuple(figures),
    )


def _run(name: str, **pipeline: Any) -> tuple[list[Alert], int]:
    """Alerts, and how often the model ran."""
    manifest = application(model(), ["gate"], FPS, **pipeline)
    bound = parse_camera_arguments(manifest, [f"gate={recording(name)}"])
    backtest = Backtest(manifest, recording(name).parent, bound.cameras, bound.bindings)
    alerts = list(backtest.alerts())
    return alerts, sum(detector.stats().pictures for detector in backtest._detectors.values())


def _compared(every: list[Alert], gated: list[Alert]) -> tuple[int, int]:
    """How many of the first are among the second, and how many more the second has."""
    free = Counter((alert.rule, alert.time.timestamp()) for alert in gated)
    kept = 0
    for alert in every:
        moment_s = alert.time.timestamp()
        near = [key for key in free if free[key] and key[0] == alert.rule and abs(key[1] - moment_s) <= TOLERANCE_S]
        if near:
            free[min(near, key=lambda key: abs(key[1] - moment_s))] -= 1
            kept += 1
    return kept, sum(free.values())
