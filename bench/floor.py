"""The bare floor: decode, letterbox, ``session.run`` and nothing else, in one process with one thread a run.

Run as a process of its own so that its CPU time is the operating system's account of exactly this work:
``python -m bench.floor VIDEO MODEL FPS SECONDS [CAMERAS]`` prints one JSON object. With CAMERAS the pictures come at
their own pace, so many cameras side by side with one session, as on a device: a processor that rests between two
pictures needs more time for each, which is nobody's overhead. Without, one camera as fast as it goes.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import cv2
import numpy as np
import onnxruntime as ort


@dataclass
class Count:
    """What one camera came to."""

    analysed: int = 0
    decoded: int = 0
    run_s: list[float] = field(default_factory=list)


def measure(video: str, model: str, fps: float, seconds: float, cameras: int = 0) -> dict[str, float]:
    """Decode ``seconds`` of the file (looping), analyse ``fps`` pictures of each second.

    The work per analysed picture is what any system with these parts must do: every packet decoded (later pictures
    need it), the chosen ones resized plane by plane to 416×416, converted, and put through the model once.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.run(None, {session.get_inputs()[0].name: np.full((1, 3, 416, 416), 114.0, np.float32)})
    counts = [Count() for _ in range(cameras or 1)]
    start_cpu, start_wall = _cpu_s(), time.perf_counter()
    threads = [
        threading.Thread(target=_camera, args=(video, session, fps, seconds, number / max(1, cameras * fps), count))
        if cameras
        else threading.Thread(target=_camera, args=(video, session, fps, seconds, None, count))
        for number, count in enumerate(counts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu_s = _cpu_s() - start_cpu
    analysed = sum(count.analysed for count in counts)
    runs = sorted(run for count in counts for run in count.run_s)
    return {
        "cpu_s": cpu_s,
        "wall_s": time.perf_counter() - start_wall,
        "analysed": analysed,
        "decoded": sum(count.decoded for count in counts),
        "cpu_ms_per_analysed": 1000 * cpu_s / max(1, analysed),
        "run_p50_ms": 1000 * runs[len(runs) // 2],
    }


def _camera(video: str, session: ort.InferenceSession, fps: float, seconds: float, lag_s: float | None, count: Count):  # type: ignore[no-untyped-def]
    """One camera; ``lag_s`` says by how much it begins later than the first, None that it keeps no pace."""
    name = session.get_inputs()[0].name
    canvas = np.full((1, 3, 416, 416), 114.0, np.float32)
    begun_s, due_s = time.monotonic() + (lag_s or 0.0), 0.0
    for frame, time_s in _pictures(video, seconds):
        if lag_s is not None:
            time.sleep(max(0.0, begun_s + time_s - time.monotonic()))
        count.decoded += 1
        if time_s + 1e-6 < due_s:
            continue
        due_s += 1.0 / fps
        _letterbox(frame, canvas)
        before_s = time.perf_counter()
        session.run(None, {name: canvas})
        count.run_s.append(time.perf_counter() - before_s)
        count.analysed += 1


def _pictures(video: str, seconds: float) -> Iterator[tuple[av.VideoFrame, float]]:
    base_s = last_s = 0.0
    while True:
        with av.open(video) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            step_s = 1.0 / float(stream.average_rate or 25)
            for frame in container.decode(stream):
                last_s = base_s + (frame.time or 0.0)
                if last_s >= seconds:
                    return
                yield frame, last_s
        base_s = last_s + step_s


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _letterbox(frame: av.VideoFrame, canvas: np.ndarray) -> None:
    scale = min(416 / frame.width, 416 / frame.height)
    width, height = int(frame.width * scale) & ~1, int(frame.height * scale) & ~1
    small = np.empty((height * 3 // 2, width), np.uint8)
    flat = small.reshape(-1)
    luma, chroma = width * height, width * height // 4
    targets = (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    )
    for plane, target in zip(frame.planes, targets, strict=True):
        source = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        cv2.resize(source, (target.shape[1], target.shape[0]), dst=target, interpolation=cv2.INTER_LINEAR)
    canvas[0, :, :height, :width] = cv2.cvtColor(small, cv2.COLOR_YUV2BGR_I420).transpose(2, 0, 1)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    _, video_, model_, fps_, seconds_, *rest = sys.argv
    print(json.dumps(measure(video_, model_, float(fps_), float(seconds_), int(rest[0]) if rest else 0)))
