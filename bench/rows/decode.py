"""What decoding costs, and what is left of it while nothing moves."""

from __future__ import annotations

import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from bench.footage import BUILD, MAIN, SUB, Encoding, encoded, model, write
from bench.result import Figure, Row, at_most
from bench.system import application, simulated, system

VIDEO = "car-detection.mp4"
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
    still, rest, awake, gated = still_scene(), [], [], []
    for _ in range(rounds):
        for (name, words), found in bare.items():
            found.append(_bare(files[name], SKIPPED[words], seconds / 2))
        rest.append(_cameras(still, seconds, {"floor_s": 5}))
        awake.append(_cameras(still, seconds, None))
        gated.append(_cameras(encoded(VIDEO, MAIN), seconds, {"floor_s": 5}))
    figures = [
        at_most("nothing moves: core per camera, everything", "%", rest, 2.0),
        Figure("the same scene without `motion`", "%", tuple(awake)),
        Figure("traffic all the time, with `motion`", "%", tuple(gated)),
        *(
            Figure(f"bare: {name}, {words}", "% of a core", tuple(found), peer=True)
            for (name, words), found in bare.items()
        ),
    ]
    keys = statistics.median(bare[next(iter(ENCODINGS)), "key pictures alone"])
    return Row(
        "decode",
        "What decoding costs, and what is left of it while nothing moves",
        "python -m bench decode",
        f"Four RTSP cameras, {MAIN.words}, 4 Mbit/s at most, YOLOX-nano 416 at 5 pictures a second, `motion: {{floor_s: 5}}`; the "
        f"still scene is a picture of the recording with a camera's noise. All processes counted. Bare: PyAV in one process, one "
        f"thread, at the file's pace, half as long. {rounds} rounds of {seconds:g} s, all of it in turns.",
        tuple(figures),
        (
            f"Of a camera that rests one picture in two seconds is still decoded, which is {keys:.2g} % of a core bare, and one in five "
            "seconds goes through the model, which is 0.2 to 0.4 % (12 to 18 ms a run: rows inference, batch and scale): bare, that "
            "is the target already. The rest, receiving by RTSP and processes that watch, is not measured apart.",
        ),
    )


def _bare(path: Path, skip: str, seconds: float) -> float:
    command = [sys.executable, "-c", BARE, str(path), skip, str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _cameras(path: Path, seconds: float, motion: dict[str, float] | None) -> float:
    """Per cent of a core for each of four cameras."""
    names = [f"gate{n}" for n in range(4)]
    pipeline = {} if motion is None else {"motion": motion}
    with (
        simulated(dict.fromkeys(names, path)) as cameras,
        system(application(model(), names, 5.0, **pipeline), cameras.urls) as running,
    ):
        running.measure(6.0)  # until everything rests that may
        return running.measure(seconds).percent_per_camera(4)


def still_scene(encoding: Encoding = MAIN, seconds: float = 30.0) -> Path:
    """A picture of the recording, over and over, with noise."""
    path = BUILD / f"still-{encoding.size[0]}x{encoding.size[1]}-{encoding.gop}-{seconds:g}.mp4"
    if path.exists():
        return path
    with av.open(str(encoded(VIDEO, encoding))) as source:
        luma = next(source.decode(video=0)).to_ndarray(format="yuv420p")
    rng = np.random.default_rng(1)
    noise = [rng.normal(0, 2.0, luma.shape).astype(np.int16) for _ in range(8)]

    def picture(number: int) -> av.VideoFrame:
        noisy = (luma.astype(np.int16) + np.roll(noise[number % 8], number * 37)).clip(0, 255).astype(np.uint8)
        return av.VideoFrame.from_ndarray(noisy, format="yuv420p")

    write(path, encoding, (picture(number) for number in range(round(seconds * encoding.fps))))
    return path
