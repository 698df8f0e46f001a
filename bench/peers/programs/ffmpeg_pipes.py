"""FFmpeg processes with raw pictures in a pipe, as Frigate takes its cameras in; one session for all.

Arguments, the watch for 20 seconds without a picture and the pause of 10 seconds before the next try are those of
Frigate's documentation of its presets and of its camera watchdog.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time

import numpy as np
from work import Model, begin, canvas, fit, run_cameras, tell, told

WATCH_S = 20.0
PAUSE_S = 10.0

task = begin()
model = Model(task.model)
tell("ready")


def camera(number: int, url: str) -> None:
    """Until it ends or is silent for too long."""
    width, height = fit(16, 9)
    process = subprocess.Popen(_command(url, width, height), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    pipe, target, size = process.stdout.fileno(), canvas(), width * height * 3
    selector = selectors.DefaultSelector()
    selector.register(pipe, selectors.EVENT_READ)
    buffer, filled, heard_s = bytearray(size), 0, time.monotonic()
    try:
        while not task.stop.is_set():
            if not selector.select(0.2):
                if task.live and time.monotonic() - heard_s > WATCH_S:
                    raise TimeoutError(f"no picture for {WATCH_S:g} s")
                continue
            count = os.readv(pipe, [memoryview(buffer)[filled:]])
            if not count:
                break
            filled += count
            if filled == size:
                filled, heard_s = 0, time.monotonic()
                target[:height, :width] = np.frombuffer(buffer, np.uint8).reshape(height, width, 3)
                told(number, model.run(target)[2])
    finally:
        process.kill()
        process.wait()
    if task.live:
        task.stop.wait(PAUSE_S)


def _command(url: str, width: int, height: int) -> list[str]:
    live = "-avoid_negative_ts make_zero -fflags +genpts+discardcorrupt -rtsp_transport tcp -timeout 10000000 "
    live += "-use_wallclock_as_timestamps 1"
    thin = f"fps={task.fps:g}," if task.live else ""
    rate = ["-r", f"{task.fps:g}"] if task.live else []
    return [
        *["ffmpeg", "-hide_banner", "-loglevel", "error", "-threads", "1"],
        *(live.split() if task.live else ()),
        *("-i", url, "-an", "-dn", *rate, "-vf", f"{thin}scale={width}:{height}:flags=bilinear"),
        *["-threads", "1", "-f", "rawvideo", "-pix_fmt", "bgr24", "pipe:"],
    ]


# Children end with this process, however it ends.
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
run_cameras(task, camera)
task.stop.set()
time.sleep(0.5)
os._exit(0)
