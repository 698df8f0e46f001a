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

VIDEO = "one-by-one-person-detection.mp4"
#: Before each piece of the recording its first picture stands still.
FOOTAGE_FPS, STILL_S, EVENT_S = 10, 12.0, 8.0
QUICK_S = 45.0
GOPS_S = (1, 2, 10)
SIZE = (768, 432)
#: Of the applications and their cameras: two that never rest tell how far two cameras differ by themselves.
PLAIN, AGAIN, RESTS = "plain", "again", "rests"


def measure(quick: bool) -> Row:
    """The same application with and without, on the same pictures at the same time."""
    figures: list[Figure] = []
    for gop_s in GOPS_S[:1] if quick else GOPS_S:
        path = clip(gop_s)
        events, delays, spared = _run(path, gop_s, QUICK_S if quick else _length_s(path))
        figures += [
            Figure(f"GOP {gop_s} s: events, decoded all the time", "", (float(events[PLAIN].total()),)),
            Figure(
                f"GOP {gop_s} s: events that another camera, decoded all the time too, had not",
                "",
                (float((events[PLAIN] - events[AGAIN]).total()),),
                peer=True,
            ),
            at_most(
                f"GOP {gop_s} s: events lost by resting", "", [float((events[PLAIN] - events[RESTS]).total())], 0.0
            ),
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
        f"768×432, {FOOTAGE_FPS} fps, with key pictures every 1, 2 and 10 s. Three cameras play it, one for an application with "
        "`motion` (floor_s as long as the GOP, 2 s at least), two for the same application without; every picture is analysed. Events are alerts of ten "
        "strips across the room, compared strip by strip; the two without tell how far two cameras differ by themselves. "
        "Later by: time from the picture to the alert at its receiver, less that without.",
        tuple(figures),
        (),
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


def _run(path: Path, gop_s: int, seconds: float) -> tuple[dict[str, Counter[str]], list[float], float]:
    """Alerts by camera and strip, how much later each was there where it rests, and the share not analysed there."""
    motion = {RESTS: {"floor_s": float(max(2, gop_s))}}
    applications = [
        application(model(), [name], float(FOOTAGE_FPS), STRIPS, motion=motion.get(name)).model_copy(
            update={"name": name}
        )
        for name in (PLAIN, AGAIN, RESTS)
    ]
    with (
        simulated(dict.fromkeys((PLAIN, AGAIN, RESTS), path)) as cameras,
        system(applications, cameras.urls) as running,
    ):
        begun_s = time.time()
        with arriving(running.watched) as found:
            time.sleep(seconds)
        batches = running.batches(begun_s)
    usual = sorted(one.delay_s for one in found if one.alert.application == PLAIN)
    middle = usual[len(usual) // 2] if usual else 0.0
    delays = [one.delay_s - middle for one in found if one.alert.application == RESTS]
    seen = Counter(batch.frame.camera for batch in batches)
    spared = 100 * (1 - seen[RESTS] / max(1, seen[PLAIN]))
    events = {
        name: Counter(one.alert.rule for one in found if one.alert.application == name)
        for name in (PLAIN, AGAIN, RESTS)
    }
    return events, delays, spared
