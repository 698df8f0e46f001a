"""The bare floor: decode, letterbox, ``session.run`` and nothing else, in one process with one thread each.

Run as a process of its own so that its CPU time is the operating system's account of exactly this work:
``python -m bench.floor VIDEO MODEL FPS SECONDS`` prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import av
import cv2
import numpy as np
import onnxruntime as ort


def measure(video: str, model: str, fps: float, seconds: float) -> dict[str, float]:
    """Decode ``seconds`` of the file (looping), analyse ``fps`` pictures of each second.

    The work per analysed picture is what any system with these parts must do: every packet decoded (later pictures
    need it), the chosen ones resized plane by plane to 416×416, converted, and put through the model once.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    canvas = np.full((1, 3, 416, 416), 114.0, np.float32)
    session.run(None, {name: canvas})
    analysed = decoded = 0
    start_cpu, start_wall = _cpu_s(), time.perf_counter()
    media_s = 0.0
    while media_s < seconds:
        base_s = media_s
        due_s = 0.0
        with av.open(video) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            for frame in container.decode(stream):
                decoded += 1
                time_s = float(frame.time or 0.0)
                media_s = base_s + time_s
                if media_s >= seconds:
                    break
                if time_s + 1e-6 < due_s:
                    continue
                due_s += 1.0 / fps
                _letterbox(frame, canvas)
                session.run(None, {name: canvas})
                analysed += 1
    cpu_s = _cpu_s() - start_cpu
    return {
        "cpu_s": cpu_s,
        "wall_s": time.perf_counter() - start_wall,
        "analysed": analysed,
        "decoded": decoded,
        "cpu_ms_per_analysed": 1000 * cpu_s / max(1, analysed),
    }


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
    print(json.dumps(measure(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))))
