"""A tuned loop: PyAV, a thread for each camera, only the pictures that are analysed are converted, already small."""

from __future__ import annotations

import os

import av
from work import Model, Pace, begin, canvas, fit, run_cameras, tell, told

task = begin()
model = Model(task.model)
tell("ready")


def camera(number: int, url: str) -> None:
    """Until it ends or cannot be read."""
    options = {"rtsp_transport": "tcp"} if task.live else {}
    target, pace = canvas(), Pace(task.fps)
    with av.open(url, options=options, timeout=(5.0, 10.0) if task.live else None) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            if task.stop.is_set():
                return
            if not pace.due():
                continue
            width, height = fit(frame.width, frame.height)
            small = frame.reformat(width, height, "bgr24", interpolation="BILINEAR")
            target[:height, :width] = small.to_ndarray()
            told(number, model.run(target)[2])


run_cameras(task, camera)
os._exit(0)
