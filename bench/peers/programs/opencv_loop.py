"""The loop of most tutorials: a ``cv2.VideoCapture`` and a thread for each camera, one session for all."""

from __future__ import annotations

import os

import cv2
from work import Model, Pace, begin, canvas, letterbox, run_cameras, tell, told

task = begin()
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
model = Model(task.model)
tell("ready")


def camera(number: int, url: str) -> None:
    """Until it ends or cannot be read."""
    # One decoding thread: frame threads hold pictures back and cost more in all.
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    target, pace = canvas(), Pace(task.fps)
    try:
        while not task.stop.is_set() and capture.grab():
            if not pace.due():
                continue
            there, picture = capture.retrieve()
            if there:
                letterbox(picture, target)
                told(number, model.run(target)[2])
    finally:
        capture.release()


run_cameras(task, camera)
os._exit(0)
