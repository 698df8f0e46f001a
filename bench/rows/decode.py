"""What decoding costs, and what is left of it while nothing moves."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from bench.footage import BUILD, MAIN, SUB, Encoding, encoded, model, write
from bench.result import Figure, Row, at_most, middle_round, number, shares
from bench.system import Stretch, application, floor, simulated, system

VIDEO = "car-detection.mp4"
CAMERAS, FPS = 4, 5.0
#: Longest time without a run of the model, seconds; and per cent of a core for a camera in which nothing moves.
FLOOR_S, TARGET = 5, 2.0
ENCODINGS = {
    "1080p H.264 with B pictures": MAIN,
    "1080p H.264 without": replace(MAIN, b_frames=0),
    "1080p H.265 with B pictures": replace(MAIN, codec="libx265", kbit=2500),
    "360p H.264": SUB,
}
#: What is decoded → what FFmpeg is told to skip.
SKIPPED = {"all": "DEFAULT", "references alone": "NONREF", "key pictures alone": "NONKEY"}
#: Decodes a file at its pace: all of it, without what no other picture refers to, or key pictures alone.
BARE = """
import av, resource, sys, time
skip, seconds = sys.argv[2], float(sys.argv[3])
with av.open(sys.argv[1]) as container:
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    stream.codec_context.skip_frame = skip
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    for packet in container.demux(stream):
        if packet.pts is None or float(packet.dts * stream.time_base) > seconds:
            break
        time.sleep(max(0.0, begun + float(packet.dts * stream.time_base) - time.monotonic()))
        packet.decode()
usage = resource.getrusage(resource.RUSAGE_SELF)
used = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
print(100 * used / (time.monotonic() - begun))
"""


def measure(quick: bool) -> Row:
    """Bare decoding of each kind; then whole cameras in a busy and in a still scene."""
    rounds, seconds = (1, 4.0) if quick else (2, 10.0)
    files = {name: encoded(VIDEO, one) for name, one in list(ENCODINGS.items())[: 1 if quick else None]}
    bare: dict[tuple[str, str], list[float]] = {(name, words): [] for name in files for words in SKIPPED}
    still = still_scene()
    run_ms: list[float] = []
    rest: list[Stretch] = []
    awake: list[Stretch] = []
    gated: list[Stretch] = []
    for _ in range(rounds):
        for (name, words), found in bare.items():
            found.append(_bare(files[name], SKIPPED[words], seconds / 2))
        run_ms.append(floor(still, model(), FPS, seconds)["run_p50_ms"])
        rest.append(_cameras(still, seconds, {"floor_s": FLOOR_S}))
        awake.append(_cameras(still, seconds, None))
        gated.append(_cameras(encoded(VIDEO, MAIN), seconds, {"floor_s": FLOOR_S}))
    return Row(
        "decode",
        "What decoding costs, and what is left of it while nothing moves",
        "python -m bench decode",
        f"{CAMERAS} RTSP cameras, {MAIN.words}, 4 Mbit/s at most, YOLOX-nano 416 at {FPS:g} pictures a second, `motion: {{floor_s: {FLOOR_S}}}`; the "
        f"still scene is a picture of the recording with a camera's noise. All processes counted. Bare: PyAV in one process, one "
        f"thread, at the file's pace, half as long; a run of the model in one process as fast as it goes. {rounds} rounds of {seconds:g} s, "
        "all of it in turns.",
        (
            at_most("nothing moves: core per camera, everything", "%", [_percent(one) for one in rest], TARGET),
            *(
                Figure(f"of it, {name}", "%", tuple(_percents(one)[name] for one in rest))
                for name in _percents(rest[0])
            ),
            Figure("the same scene without `motion`", "%", tuple(_percent(one) for one in awake)),
            Figure("traffic all the time, with `motion`", "%", tuple(_percent(one) for one in gated)),
            *(
                Figure(f"bare: {name}, {words}", "% of a core", tuple(found), peer=True)
                for (name, words), found in bare.items()
            ),
            Figure("bare: a run of the model, p50", "ms", tuple(run_ms), peer=True),
        ),
        (_note(rest, bare[next(iter(ENCODINGS)), "key pictures alone"], run_ms),),
    )


def _note(rest: Sequence[Stretch], keys: Sequence[float], run_ms: Sequence[float]) -> str:
    """What a camera that rests needs at least, and what it took."""
    one = rest[middle_round([_percent(stretch) for stretch in rest])]
    key, run = statistics.median(keys), statistics.median(run_ms) / (10 * FLOOR_S)
    return (
        f"A camera that rests took {number(_percent(one))} % of a core in the middle round: {shares(_percents(one))}. It still decodes one "
        f"picture in {MAIN.gop / MAIN.fps:g} s, {number(key)} % bare, and one in {FLOOR_S} s at most goes through the model, "
        f"{number(run)} % at {number(statistics.median(run_ms))} ms a run: bare, that is {number(key + run)} % together, beside a target of {TARGET:g}. What is above "
        f"that, {number(_percent(one) - key - run)} %, is receiving by RTSP and processes that watch; these are not measured apart."
    )


def _percent(stretch: Stretch) -> float:
    """Of a core, for each camera."""
    return stretch.percent_per_camera(CAMERAS)


def _percents(stretch: Stretch) -> dict[str, float]:
    """The same by component."""
    return {name: 100 * used_s / stretch.seconds / CAMERAS for name, used_s in stretch.cpu_by.items()}


def _bare(path: Path, skip: str, seconds: float) -> float:
    command = [sys.executable, "-c", BARE, str(path), skip, str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _cameras(path: Path, seconds: float, motion: dict[str, int] | None) -> Stretch:
    """Cameras that show the same."""
    names = [f"gate{n}" for n in range(CAMERAS)]
    pipeline = {} if motion is None else {"motion": motion}
    with (
        simulated(dict.fromkeys(names, path)) as cameras,
        system(application(model(), names, FPS, **pipeline), cameras.urls) as running,
    ):
        running.measure(6.0)  # until everything rests that may
        return running.measure(seconds)


def still_scene(encoding: Encoding = MAIN, seconds: float = 30.0) -> Path:
    """A picture of the recording, over and over, with noise."""
    path = BUILD / f"still-{encoding.size[0]}x{encoding.size[1]}-{encoding.gop}-{seconds:g}.mp4"
    if path.exists():
        return path
    with av.open(str(encoded(VIDEO, encoding))) as source:
        luma = next(source.decode(video=0)).to_ndarray(format="yuv420p")
    rng = np.random.default_rng(1)
    noise = [np.asarray(rng.normal(0, 2.0, luma.shape), np.int16) for _ in range(8)]

    def picture(number: int) -> av.VideoFrame:
        noisy = (luma.astype(np.int16) + np.roll(noise[number % 8], number * 37)).clip(0, 255).astype(np.uint8)
        return av.VideoFrame.from_ndarray(noisy, format="yuv420p")

    write(path, encoding, (picture(number) for number in range(round(seconds * encoding.fps))))
    return path
