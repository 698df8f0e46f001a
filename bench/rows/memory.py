"""Memory of everything, and of each further camera."""

from __future__ import annotations

import subprocess
import sys

from bench.footage import MAIN, SUB, encoded, model
from bench.result import Figure, Row, at_most
from bench.system import Stretch, application, simulated, system

VIDEO = "car-detection.mp4"


def measure(quick: bool) -> Row:
    """Four cameras, and two more of each kind."""
    rounds, seconds = (1, 3.0) if quick else (3, 10.0)
    base, mains, subs = [], [], []
    for _ in range(rounds):
        four = _stretch(4, 0, seconds)
        base.append(four)
        mains.append((_stretch(6, 0, seconds).pss_mb - four.pss_mb) / 2)
        subs.append((_stretch(4, 2, seconds).pss_mb - four.pss_mb) / 2)
    return Row(
        "memory",
        "Memory of four 1080p cameras, and of each further one",
        "python -m bench memory",
        f"RTSP cameras, main stream {MAIN.words}; sub stream {SUB.words}. Proportional set size of all processes of all "
        f"components, rings included, without LocalCore, {seconds:g} s after everything is analysed.",
        (
            at_most("four cameras, everything", "MB PSS", [one.pss_mb for one in base], 400.0),
            *(Figure(f"of it, {name}", "MB PSS", tuple(one.pss_by[name] for one in base)) for name in base[0].pss_by),
            at_most("each further camera, main stream", "MB PSS", mains, 70.0),
            at_most("each further camera, sub stream", "MB PSS", subs, 40.0),
            Figure(
                "one process with ONNX Runtime, OpenCV and PyAV that runs the model", "MB PSS", (_bare(),), peer=True
            ),
        ),
        (
            "Five processes of Python with the AWS SDK and pydantic (one for each component, one for the application) are 130 "
            "MB, the model's process is that of the bare one and 30 MB more, the alerting worker 40, a 1080p camera 40.",
        ),
    )


def _stretch(mains: int, subs: int, seconds: float) -> Stretch:
    names = [f"main{n}" for n in range(mains)] + [f"sub{n}" for n in range(subs)]
    files = {name: encoded(VIDEO, MAIN if name.startswith("main") else SUB) for name in names}
    with simulated(files) as cameras, system(application(model(), names, 2.0), cameras.urls) as running:
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
