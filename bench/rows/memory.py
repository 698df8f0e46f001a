"""Memory of everything, and of each further camera."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence

from bench.footage import MAIN, SUB, encoded, model
from bench.result import Figure, Row, at_most, middle_round, number, shares
from bench.system import Stretch, application, simulated, system

VIDEO = "car-detection.mp4"
CAMERAS, FPS = 4, 2.0


def measure(quick: bool) -> Row:
    """Four cameras, and two more of each kind."""
    rounds, seconds = (1, 3.0) if quick else (3, 10.0)
    base: list[Stretch] = []
    mains: list[float] = []
    subs: list[float] = []
    for _ in range(rounds):
        four = _stretch(CAMERAS, 0, seconds)
        base.append(four)
        mains.append((_stretch(CAMERAS + 2, 0, seconds).pss_mb - four.pss_mb) / 2)
        subs.append((_stretch(CAMERAS, 2, seconds).pss_mb - four.pss_mb) / 2)
    bare_mb = _bare()
    return Row(
        "memory",
        "Memory of four 1080p cameras, and of each further one",
        "python -m bench memory",
        f"RTSP cameras, main stream {MAIN.words}; sub stream {SUB.words}; {FPS:g} pictures a second of each analysed. "
        "Proportional set size of all processes of all components, rings included, without LocalCore, "
        f"{seconds:g} s after everything is analysed.",
        (
            at_most("four cameras, everything", "MB PSS", [one.pss_mb for one in base], 400.0),
            *(Figure(f"of it, {name}", "MB PSS", tuple(one.pss_by[name] for one in base)) for name in base[0].pss_by),
            at_most("each further camera, main stream", "MB PSS", mains, 70.0),
            at_most("each further camera, sub stream", "MB PSS", subs, 40.0),
            Figure(
                "one process with ONNX Runtime, OpenCV and PyAV that runs the model", "MB PSS", (bare_mb,), peer=True
            ),
        ),
        (_note(base, mains, bare_mb),),
    )


def _note(base: Sequence[Stretch], mains: Sequence[float], bare_mb: float) -> str:
    """What the memory of the middle round is, in parts that add up to it."""
    four = base[middle_round([one.pss_mb for one in base])]
    cameras_mb = CAMERAS * statistics.median(mains)
    return (
        f"The {number(four.pss_mb)} MB of the middle round by component: {shares(four.pss_by)}. In other parts: {number(cameras_mb)} are "
        f"the {CAMERAS} cameras, at what each further one takes; {number(bare_mb)} a process that only runs the model; the remaining "
        f"{number(four.pss_mb - cameras_mb - bare_mb)} the other processes of the components and of the application, and what "
        "the model's takes beyond the bare one."
    )


def _stretch(mains: int, subs: int, seconds: float) -> Stretch:
    names = [f"main{n}" for n in range(mains)] + [f"sub{n}" for n in range(subs)]
    files = {name: encoded(VIDEO, MAIN if name.startswith("main") else SUB) for name in names}
    with simulated(files) as cameras, system(application(model(), names, FPS), cameras.urls) as running:
        return running.measure(seconds)


def _bare() -> float:
    """A process of its own that only runs the model."""
    program = (
        "import av, cv2, numpy as np, onnxruntime as ort, sys\n"
        "options = ort.SessionOptions(); options.intra_op_num_threads = 1\n"
        "session = ort.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])\n"
        "for _ in range(5): session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, 416, 416), np.float32)})\n"
        "lines = open('/proc/self/smaps_rollup').read().splitlines()\n"
        "print(sum(int(line.split()[1]) for line in lines if line.startswith('Pss:')) / 1024)\n"
    )
    return float(subprocess.run([sys.executable, "-c", program, str(model())], capture_output=True, text=True).stdout)
