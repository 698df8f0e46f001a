"""Hand-over of decoded pictures from process to process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.processes import cpu_s
from bench.result import Figure, Row, at_most, middle_round, number
from vedette.adapters.frames import FrameStoreWriter
from vedette.contracts.frames import FrameInfo
from vedette.core.pixels import Pixels, i420_size

WIDTH, HEIGHT, FPS = 1920, 1080, 25.0
READER = """
import select, sys
from pathlib import Path
from vedette.adapters.frames import FrameStoreClient
from vedette.contracts.errors import CameraError
client, had, last = FrameStoreClient(Path(sys.argv[1])), 0, None
client.arm(None, 0.0)
print("ready", flush=True)
while True:
    select.select([client], [], [])
    try:
        lease = client.latest()
        if lease is not None:
            had, last = had + 1, lease.info
            lease.release()
        client.arm(last, 0.0)
    except CameraError:
        break
    if last is not None and last.gap_reason == "end":
        break
print(had, flush=True)
"""


def measure(quick: bool) -> Row:
    """Pictures at a camera's pace."""
    seconds, rounds = (2.0, 1) if quick else (10.0, 5)
    both, writer, reader, copies = [], [], [], []
    for _ in range(rounds):
        mine, theirs = _hand_over(seconds)
        writer.append(mine)
        reader.append(theirs)
        both.append(mine + theirs)
        copies.append(_bare_copy(seconds))
    return Row(
        "ring",
        "Hand-over of a 1080p picture between two processes",
        "python -m bench ring",
        f"I420 {WIDTH}×{HEIGHT} at {FPS:g} pictures a second, one writer, one reader that takes every picture; {rounds} "
        f"rounds of {seconds:g} s. Processor time of both processes for each picture taken, waiting and waking included.",
        (
            at_most("hand-over of 1080p, writer and reader together", "ms CPU/picture", both, 0.3),
            Figure("writer (one copy into the ring)", "ms CPU/picture", tuple(writer)),
            Figure("reader", "ms CPU/picture", tuple(reader)),
            Figure("copying the picture in memory, at the same pace", "ms CPU/picture", tuple(copies), peer=True),
        ),
        (_note(writer, reader, copies),),
    )


def _note(writer: Sequence[float], reader: Sequence[float], copies: Sequence[float]) -> str:
    """What the middle round spent on copying, and what on the rest."""
    both = [mine + theirs for mine, theirs in zip(writer, reader, strict=True)]
    at = middle_round(both)
    return (
        f"In the middle round the writer took {number(writer[at])} ms and the reader {number(reader[at])}, {number(both[at])} together. "
        f"Copying the {number(i420_size(WIDTH, HEIGHT) / 1e6)} MB alone, at the same pace, took {number(copies[at])} in it, "
        f"{100 * copies[at] / both[at]:.0f} % of that: no hand-over of decoded pictures by a copy can be below it here. What waking "
        "two processes and three small packets take is not measured apart."
    )


def _pixels() -> Pixels:
    flat = np.random.default_rng(1).integers(0, 255, i420_size(WIDTH, HEIGHT), np.uint8)
    return Pixels.from_buffer(flat, WIDTH, HEIGHT)


def _hand_over(seconds: float) -> tuple[float, float]:
    """Milliseconds of the writer and of the reader for each picture."""
    with tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder:
        path = Path(folder) / "ring.sock"
        store, pixels = FrameStoreWriter(path, "bench"), _pixels()
        store.publish(_info(0), pixels)
        with subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            number = 0
            mine, theirs = cpu_s([os.getpid()]), cpu_s([process.pid])
            begun_s = time.monotonic()
            while time.monotonic() - begun_s < seconds:
                number += 1
                store.publish(_info(number), pixels)
                time.sleep(max(0.0, begun_s + number / FPS - time.monotonic()))
            mine, theirs = cpu_s([os.getpid()]) - mine, cpu_s([process.pid]) - theirs
            store.publish(_info(number + 1, "end"), pixels)
            had = int(process.stdout.readline())
        store.close()
    return 1000 * mine / had, 1000 * theirs / had


def _bare_copy(seconds: float) -> float:
    source = np.random.default_rng(1).integers(0, 255, i420_size(WIDTH, HEIGHT), np.uint8)
    target = np.empty_like(source)
    used_s, begun_s, number = cpu_s([os.getpid()]), time.monotonic(), 0
    while time.monotonic() - begun_s < seconds:
        number += 1
        np.copyto(target, source)
        time.sleep(max(0.0, begun_s + number / FPS - time.monotonic()))
    return 1000 * (cpu_s([os.getpid()]) - used_s) / number


def _info(number: int, gap: str = "") -> FrameInfo:
    now_s = time.monotonic()
    return FrameInfo("bench", "epoch", number, now_s, number / FPS, time.time(), WIDTH, HEIGHT, gap)
