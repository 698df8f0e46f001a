"""From the start of the components to the first alert."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.footage import model, recording
from bench.result import Figure, Row, at_most
from bench.system import application, simulated
from tests.edge.running import running, wait_until
from tests.edge.test_many_applications import Journal

VIDEO = "person-parking-lot-7sec.mp4"


def measure(quick: bool) -> Row:
    """Several starts over one camera."""
    first, analysed = [], []
    with simulated({"yard": recording(VIDEO)}) as cameras:
        for _ in range(1 if quick else 7):
            with tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder:
                begun_s = time.time()
                with running(application(model(), ["yard"], 10.0), cameras.urls, Path(folder) / "run") as watched:
                    wait_until(lambda: bool(watched.alerts()), 60, "an alert")
                    first.append(time.time() - begun_s)
                    analysed.append(min(b.analysed_wall_s for b in Journal.of(watched).batches) - begun_s)
    return Row(
        "startup",
        "From the start of everything to the first alert",
        "python -m bench startup",
        "One RTSP camera that shows people all the time (H.264 768×432), YOLOX-nano, files in the page cache. The time begins "
        "before LocalCore unpacks and starts the components and ends with the alert in the receiving file; a track is "
        "confirmed by several pictures first.",
        (
            at_most("start to first alert", "s", first, 3.0),
            Figure("start to first analysed picture", "s", tuple(analysed)),
        ),
    )
