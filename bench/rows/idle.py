"""Whether events are lost, and how much later they are known, where cameras rest while nothing moves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from bench.footage import BUILD, Encoding, model, recording, write
from bench.result import Figure, Row, at_most
from bench.rows.scale import STRIPS
from bench.system import application, arriving, simulated, system
from vedette.contracts.alert import Alert

VIDEO = "one-by-one-person-detection.mp4"
#: Before each piece of the recording its first picture stands still.
FOOTAGE_FPS, STILL_S, EVENT_S = 10, 12.0, 8.0
QUICK_S = 45.0
GOPS_S = (1, 2, 10)
SIZE = (768, 432)


def measure(quick: bool) -> Row:
    """The same application with and without, on the same camera at the same time."""
    figures: list[Figure] = []
    for gop_s in GOPS_S[:1] if quick else GOPS_S:
        path = clip(gop_s)
        every, resting, delays, spared = _run(path, gop_s, QUICK_S if quick else _length_s(path))
        lost = Counter(alert.rule for alert in every) - Counter(alert.rule for alert in resting)
        figures += [
            Figure(f"GOP {gop_s} s: events, decoded all the time", "", (float(len(every)),)),
            at_most(f"GOP {gop_s} s: events lost by resting", "", [float(lost.total())], 0.0),
            at_most(
                f"GOP {gop_s} s: an event is known later by, at most", "s", [max(delays, default=0.0)], gop_s + 1.0
            ),
            Figure(f"GOP {gop_s} s: pictures not analysed", "%", (spared,)),
        ]
    return Row(
        "idle",
        "Resting while nothing moves: events and delays",
        "python -m bench idle",
        f"A recording in which people cross a room, with {STILL_S:g} s of stillness (with noise) before each {EVENT_S:g} s of it, H.264 "
        f"768×432, {FOOTAGE_FPS} fps, with key pictures every 1, 2 and 10 s. Two cameras play it, one for an application with "
        "`motion` (floor_s as long as the GOP, 2 s at least), one for the same application without; events are alerts of ten strips across the room, compared strip by strip. "
        "Later by: time from the picture to the alert at its receiver, less that without.",
        tuple(figures),
        (
            "The two cameras are sampled at moments of their own, so that somebody at the edge of a strip may count for one and not for "
            "the other; how far two cameras that never rest differ was not measured.",
        ),
    )


def clip(gop_s: int) -> Path:
    """Still, crossing, still, crossing."""
    encoding = Encoding(size=SIZE, fps=FOOTAGE_FPS, gop=gop_s * FOOTAGE_FPS, b_frames=0, kbit=800)
    path = BUILD / f"rest-{gop_s}.mp4"
    if not path.exists():
        write(path, encoding, _pictures())
    return path


def _length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.duration or 0) / 1e6


def _pictures() -> Iterator[av.VideoFrame]:
    with av.open(str(recording(VIDEO))) as source:
        frames = [frame.to_ndarray(format="yuv420p") for frame in source.decode(video=0)]
    rng = np.random.default_rng(2)
    noise = [rng.normal(0, 1.5, frames[0].shape).astype(np.int16) for _ in range(6)]
    begin = 0
    while begin < len(frames):
        for number in range(round(STILL_S * FOOTAGE_FPS)):
            noisy = (frames[begin].astype(np.int16) + noise[number % 6]).clip(0, 255).astype(np.uint8)
            yield av.VideoFrame.from_ndarray(noisy, format="yuv420p")
        for image in frames[begin : begin + round(EVENT_S * FOOTAGE_FPS)]:
            yield av.VideoFrame.from_ndarray(image, format="yuv420p")
        begin += round(EVENT_S * FOOTAGE_FPS)


def _run(path: Path, gop_s: int, seconds: float) -> tuple[list[Alert], list[Alert], list[float], float]:
    """Alerts without and with resting, how much later each of the latter was there, and the share not analysed."""
    plain = application(model(), ["plain"], 5.0, STRIPS).model_copy(update={"name": "plain"})
    rests = application(model(), ["rests"], 5.0, STRIPS, motion={"floor_s": float(max(2, gop_s))})
    rests = rests.model_copy(update={"name": "rests"})
    with (
        simulated({"plain": path, "rests": path}) as cameras,
        system([plain, rests], cameras.urls) as running,
    ):
        begun_s = time.time()
        with arriving(running.watched) as found:
            time.sleep(seconds)
        batches = running.batches(begun_s)
    alerts = {name: [one for one in found if one.alert.application == name] for name in ("plain", "rests")}
    usual = sorted(one.delay_s for one in alerts["plain"])
    middle = usual[len(usual) // 2] if usual else 0.0
    delays = [one.delay_s - middle for one in alerts["rests"]]
    seen = {name: sum(1 for batch in batches if batch.frame.camera == name) for name in ("plain", "rests")}
    spared = 100 * (1 - seen["rests"] / max(1, seen["plain"]))
    return [one.alert for one in alerts["plain"]], [one.alert for one in alerts["rests"]], delays, spared
