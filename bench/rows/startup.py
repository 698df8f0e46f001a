"""From the start of the components to the first alert."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.footage import Encoding, encoded, model
from bench.processes import started_s
from bench.result import Figure, Row, all_at_most, number
from bench.system import application, simulated
from tests.edge.running import running, wait_until
from tests.edge.test_many_applications import Journal
from vedette.local.simulated import SimulatedCameras

#: About eight people are in it all the time (counted by eye), one at least clear enough for a track to begin, so that no start
#: waits for somebody to come.
VIDEO = "Retail02_short.mp4"
ENCODING = Encoding(size=(768, 432), fps=10, gop=10, b_frames=0, kbit=1000)
STARTS = 7
LIMIT_S = 3.0


@dataclass(frozen=True)
class Start:
    """One of them, seconds from the first process of the components.

    Attributes:
        alert_s: to the alert at its receiver.
        analysed_s: to the first analysed picture.
        deployed_s: to the alert, from the deployment on, which unpacks first.
    """

    alert_s: float
    analysed_s: float
    deployed_s: float


def measure(quick: bool) -> Row:
    """Several starts over one camera."""
    with simulated({"shop": encoded(VIDEO, ENCODING)}) as cameras:
        if not quick:
            _start(cameras)  # whatever was not in memory yet
        starts = [_start(cameras) for _ in range(1 if quick else STARTS)]
    return Row(
        "startup",
        "From the start of everything to the first alert",
        "python -m bench startup",
        f"One RTSP camera ({ENCODING.words}) of a shop with about eight people in it all the time, YOLOX-nano; a new client gets what "
        "came since the latest key picture at once, and a camera that lets it wait for the next one adds that. "
        f"{len(starts)} starts, and one before them that brings the files into the page cache and is not counted. The time begins with "
        "the first process of the components and ends with the alert in the receiving file; the model is checked in a process of its own and a track is "
        "confirmed by several pictures meanwhile. The slowest start is what is judged.",
        _figures(starts),
        (_slowest(starts),),
    )


def _figures(starts: list[Start]) -> tuple[Figure, ...]:
    return (
        all_at_most(
            "first alert after the process starts, warm files", "s", [start.alert_s for start in starts], LIMIT_S
        ),
        Figure("start to first analysed picture", "s", tuple(start.analysed_s for start in starts)),
        Figure("deployment to first alert, unpacking included", "s", tuple(start.deployed_s for start in starts)),
    )


def _slowest(starts: list[Start]) -> str:
    slowest = max(starts, key=lambda start: start.alert_s)
    return (
        f"The slowest start had its first picture analysed after {number(slowest.analysed_s)} s and its alert "
        f"{number(slowest.alert_s - slowest.analysed_s)} s later."
    )


def _start(cameras: SimulatedCameras) -> Start:
    with tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder:
        deployed_s = time.monotonic()
        with running(application(model(), ["shop"], 10.0), cameras.urls, Path(folder) / "run") as watched:
            wait_until(lambda: bool(watched.alerts()), 60, "an alert")
            now_s, wall_s = time.monotonic(), time.time()
            begun_s = min(started_s(status.pid) for status in watched.edge.core.states().values() if status.pid)
            earliest_s = min(batch.analysed_wall_s for batch in Journal.of(watched).batches)
            return Start(now_s - begun_s, earliest_s - wall_s + now_s - begun_s, now_s - deployed_s)
