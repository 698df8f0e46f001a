"""What all programs share: the task, the model, and what is told; NumPy, OpenCV and ONNX Runtime only.

A program is started with one JSON object on its command line (see ``bench.peers.Task``) and prints one JSON object a
line: ``ready`` when the model has run once, ``picture`` for each analysed picture, ``trouble`` in its own words.
Times are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import threading
import time

import cv2
import numpy as np
import onnxruntime as ort

SIZE = 416
FILL = 114
MIN_SCORE = 0.3
MAX_OVERLAP = 0.45
PERSON = 0
RETRY_S = 1.0

_lock = threading.Lock()


class Task:
    """The arguments; ``fps`` 0 means every picture of a file, as fast as it goes."""

    def __init__(self, text: str) -> None:
        given = json.loads(text)
        self.urls: list[str] = given["urls"]
        self.model: str = given["model"]
        self.fps: float = given["fps"]
        self.seconds: float = given["seconds"]
        self.stop = threading.Event()

    @property
    def live(self) -> bool:
        """Whether cameras are read, not a file."""
        return self.fps > 0


class Model:
    """YOLOX: one session with one thread for a run, shared by all threads."""

    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        grids, strides = [], []
        for stride in (8, 16, 32):
            count = SIZE // stride
            xs, ys = np.meshgrid(np.arange(count), np.arange(count))
            grids.append(np.stack((xs, ys), 2).reshape(-1, 2))
            strides.append(np.full((count * count, 1), stride))
        self._grid = np.concatenate(grids).astype(np.float32)
        self._stride = np.concatenate(strides).astype(np.float32)
        self.run(np.full((SIZE, SIZE, 3), FILL, np.uint8))

    def run(self, canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes (n, 4) as x1 y1 x2 y2 in pixels of the letterboxed picture, scores (n,), classes (n,).

        ``canvas``: uint8 (416, 416, 3), BGR.
        """
        blob = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)
        out = self._session.run(None, {self._input: blob})[0][0]
        classes = out[:, 5:].argmax(1)
        scores = out[:, 4] * out[np.arange(len(out)), 5 + classes]
        keep = np.flatnonzero(scores >= MIN_SCORE)
        centre = (out[keep, :2] + self._grid[keep]) * self._stride[keep]
        size = np.exp(out[keep, 2:4]) * self._stride[keep]
        boxes = np.concatenate((centre - size / 2, size), 1)
        left = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores[keep].tolist(), classes[keep].tolist(), MIN_SCORE, MAX_OVERLAP
        )
        left = np.asarray(left, int).reshape(-1)
        boxes = boxes[left]
        boxes[:, 2:] += boxes[:, :2]
        return boxes, scores[keep][left], classes[keep][left]


def fit(width: int, height: int) -> tuple[int, int]:
    """Width and height, even, of the picture within the canvas."""
    scale = min(SIZE / width, SIZE / height)
    return int(width * scale) & ~1, int(height * scale) & ~1


def canvas() -> np.ndarray:
    """An empty one."""
    return np.full((SIZE, SIZE, 3), FILL, np.uint8)


def letterbox(picture: np.ndarray, target: np.ndarray) -> None:
    """``picture``: uint8 (height, width, 3)."""
    width, height = fit(picture.shape[1], picture.shape[0])
    cv2.resize(picture, (width, height), dst=target[:height, :width], interpolation=cv2.INTER_LINEAR)


class Pace:
    """Which of the pictures that come are analysed: those due by the clock, all of a file."""

    def __init__(self, fps: float) -> None:
        self._step_s = 1.0 / fps if fps else 0.0
        self._due_s = time.monotonic()

    def due(self) -> bool:
        """Whether the picture that has just come is to be analysed."""
        if not self._step_s:
            return True
        now_s = time.monotonic()
        # Half a picture of 25 a second early is in time, or each would wait for the one after.
        if now_s < self._due_s - 0.02:
            return False
        self._due_s = max(self._due_s + self._step_s, now_s - self._step_s)
        return True


def tell(event: str, **more: object) -> None:
    """One line; with the processor time until now where work begins or ends."""
    if event in ("ready", "done"):
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        more["cpu_s"] = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    line = json.dumps({"event": event, "at": time.monotonic(), **more})
    with _lock:
        print(line, flush=True)


def told(camera: int, classes: np.ndarray) -> None:
    """A picture was analysed."""
    tell("picture", camera=camera, objects=len(classes), people=int(np.count_nonzero(classes == PERSON)))


def begin() -> Task:
    """The task; SIGTERM and its time end it."""
    cv2.setNumThreads(1)
    task = Task(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: task.stop.set())
    return task


def run_cameras(task: Task, camera: object) -> None:
    """``camera(number, url)`` in a thread of its own for each; until the time is over or all files are read."""
    threads = [
        threading.Thread(target=_again, args=(task, camera, number, url), daemon=True)
        for number, url in enumerate(task.urls)
    ]
    for thread in threads:
        thread.start()
    end_s = time.monotonic() + task.seconds
    while any(thread.is_alive() for thread in threads) and time.monotonic() < end_s and not task.stop.wait(0.05):
        pass
    tell("done")
    # Threads may be within a read that takes half a minute to give up.
    sys.stdout.flush()


def _again(task: Task, camera, number: int, url: str) -> None:  # type: ignore[no-untyped-def]
    while not task.stop.is_set():
        try:
            camera(number, url)
        except Exception as error:  # noqa: BLE001 - whatever a library raises: the camera is tried again
            tell("trouble", camera=number, words=f"{type(error).__name__}: {error}"[:200])
        if not task.live:
            return
        task.stop.wait(RETRY_S)
