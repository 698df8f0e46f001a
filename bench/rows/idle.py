"""Whether events are lost, and how much later they are known, where cameras rest while nothing moves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from bench.footage import BUILD, Encoding, model, recording, write
from bench.result import Figure, Row, at_least, at_most
from bench.rows.scale import STRIPS
from bench.system import application, arriving, simulated, system
from vedette.core.rest import SETTLE_S

VIDEO = "one-by-one-person-detection.mp4"
#: Before each piece of the recording its first picture stands still, for so long at least.
FOOTAGE_FPS, STILL_S, EVENT_S = 10, 12.0, 8.0
QUICK_S = 45.0
GOPS_S = (1, 2, 10)
SIZE = (768, 432)
#: Of the applications and their cameras: two that never rest tell how far two cameras differ by themselves.
PLAIN, AGAIN, RESTS = "plain", "again", "rests"
#: Per cent of the pictures; a run in which fewer were passed over has not measured resting.
SPARED = 20.0


@dataclass(frozen=True)
class Outcome:
    """What came of the three cameras.

    Attributes:
        events: alerts by camera and strip.
        delays_s: how much later each alert of the camera that rests was there than is usual without.
        spared: per cent of the pictures that were not analysed there.
    """

    events: dict[str, Counter[str]]
    delays_s: tuple[float, ...]
    spared: float

    def missing(self, camera: str) -> int:
        """Events of the first camera that another has not."""
        return (self.events[PLAIN] - self.events[camera]).total()


def measure(quick: bool) -> Row:
    """The same application with and without, on the same pictures at the same time."""
    outcomes: dict[int, Outcome] = {}
    for gop_s in GOPS_S[:1] if quick else GOPS_S:
        path = clip(gop_s)
        outcomes[gop_s] = _run(path, gop_s, QUICK_S if quick else _length_s(path))
    stills = ", ".join(f"{still_s(gop_s):g} s at {gop_s} s" for gop_s in outcomes)
    return Row(
        "idle",
        "Resting while nothing moves: events and delays",
        "python -m bench idle",
        f"A recording in which people cross a room, with stillness (and a camera's noise) before each {EVENT_S:g} s of it, H.264 "
        f"768×432, {FOOTAGE_FPS} fps, key pictures every {', '.join(map(str, outcomes))} s. A camera rests from the first key picture on "
        f"that comes when nothing has moved for {SETTLE_S:g} s, so the stillness is no shorter than two whole groups of pictures need after "
        f"that: {stills}. Three cameras play it, one for an application with "
        "`motion` (floor_s as long as the GOP, 2 s at least), two for the same application without, where every picture is analysed. Events are alerts of ten "
        "strips across the room, compared strip by strip; the two without tell how far two cameras differ by themselves. "
        "Later by: time from the picture to the alert at its receiver, less that without. Not analysed: pictures that have no row in "
        f"the journal, because they were passed over; of fewer than {SPARED:g} % the other figures would say nothing about resting.",
        tuple(figure for gop_s, outcome in outcomes.items() for figure in _figures(gop_s, outcome)),
        (_differences(outcomes),),
    )


def _figures(gop_s: int, outcome: Outcome) -> tuple[Figure, ...]:
    events = outcome.events[PLAIN].total()
    latest_s = max(outcome.delays_s, default=0.0)
    return (
        Figure(f"GOP {gop_s} s: events, decoded all the time", "", (float(events),), "> 0", events > 0),
        Figure(
            f"GOP {gop_s} s: events that another camera, decoded all the time too, had not",
            "",
            (float(outcome.missing(AGAIN)),),
        ),
        at_most(f"GOP {gop_s} s: events lost by resting", "", [float(outcome.missing(RESTS))], 0.0),
        at_most(f"GOP {gop_s} s: an event is known later by, at most", "s", [latest_s], gop_s + 1.0),
        at_least(f"GOP {gop_s} s: pictures not analysed", "%", [outcome.spared], SPARED),
    )


def _differences(outcomes: dict[int, Outcome]) -> str:
    found = "; ".join(
        f"GOP {gop_s} s: of {outcome.events[PLAIN].total()} events {outcome.missing(RESTS)} missing where it rests, "
        f"{outcome.missing(AGAIN)} where it never does"
        for gop_s, outcome in outcomes.items()
    )
    return (
        "Cameras are sampled at moments of their own, so that somebody at the edge of a strip may count for one and not for "
        f"another. {found}."
    )


def still_s(gop_s: int) -> float:
    """How long a piece stands still, so that two whole groups are passed over wherever its first key picture falls."""
    return max(STILL_S, SETTLE_S + 3 * gop_s)


def clip(gop_s: int) -> Path:
    """Still, crossing, still, crossing."""
    encoding = Encoding(size=SIZE, fps=FOOTAGE_FPS, gop=gop_s * FOOTAGE_FPS, b_frames=0, kbit=800)
    path = BUILD / f"rest-{gop_s}-still-{still_s(gop_s):g}.mp4"
    if not path.exists():
        write(path, encoding, _pictures(still_s(gop_s)))
    return path


def _length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.duration or 0) / 1e6


def _pictures(before_s: float) -> Iterator[av.VideoFrame]:
    with av.open(str(recording(VIDEO))) as source:
        frames = [frame.to_ndarray(format="yuv420p") for frame in source.decode(video=0)]
    rng = np.random.default_rng(2)
    noise = [np.asarray(rng.normal(0, 1.5, frames[0].shape), np.int16) for _ in range(6)]
    begin = 0
    while begin < len(frames):
        for number in range(round(before_s * FOOTAGE_FPS)):
            noisy = (frames[begin].astype(np.int16) + noise[number % 6]).clip(0, 255).astype(np.uint8)
            yield av.VideoFrame.from_ndarray(noisy, format="yuv420p")
        for image in frames[begin : begin + round(EVENT_S * FOOTAGE_FPS)]:
            yield av.VideoFrame.from_ndarray(image, format="yuv420p")
        begin += round(EVENT_S * FOOTAGE_FPS)


def _run(path: Path, gop_s: int, seconds: float) -> Outcome:
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
    delays = tuple(one.delay_s - middle for one in found if one.alert.application == RESTS)
    seen = Counter(batch.frame.camera for batch in batches)
    events = {
        name: Counter(one.alert.rule for one in found if one.alert.application == name)
        for name in (PLAIN, AGAIN, RESTS)
    }
    return Outcome(events, delays, 100 * (1 - seen[RESTS] / max(1, seen[PLAIN])))
