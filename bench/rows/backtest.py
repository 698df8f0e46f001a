"""How fast recordings go through the whole of detection, tracking and rules."""

from __future__ import annotations

import time

from bench.footage import model, recording
from bench.result import Figure, Row
from bench.system import application
from vedette.compose.backtest import Backtest
from vedette.local.camera_arguments import parse_camera_arguments

VIDEOS = ("one-by-one-person-detection.mp4", "car-detection.mp4", "person-parking-lot-7sec.mp4")
FPS = 5.0


def measure(quick: bool) -> Row:
    """Each recording several times."""
    figures = []
    for name in VIDEOS[-1:] if quick else VIDEOS:
        speeds = []
        for _ in range(1 if quick else 3):
            manifest = application(model(), ["gate"], FPS)
            bound = parse_camera_arguments(manifest, [f"gate={recording(name)}"])
            backtest = Backtest(manifest, recording(name).parent, bound.cameras, bound.bindings)
            begun_s = time.monotonic()
            list(backtest.alerts())
            speeds.append(sum(backtest.report.media_s.values()) / (time.monotonic() - begun_s))
        figures.append(Figure(name, "× real time", tuple(speeds)))
    return Row(
        "backtest",
        "Speed of a backtest",
        "python -m bench backtest",
        f"YOLOX-nano at {FPS:g} pictures a second of the recording, all cores; from the first picture to the last alert.",
        tuple(figures),
    )
