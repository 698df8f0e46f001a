"""supervision's value types and the trackers package's ByteTrack over an OpenCV loop, a thread for each camera."""

from __future__ import annotations

import os

import cv2
import supervision as sv
from trackers import ByteTrackTracker
from work import SIZE, Model, Pace, begin, canvas, letterbox, run_cameras, tell, told

task = begin()
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
model = Model(task.model)
tell("ready")


def camera(number: int, url: str) -> None:
    """Until it ends or cannot be read."""
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    target, pace, tracker = canvas(), Pace(task.fps), ByteTrackTracker(frame_rate=task.fps or 25.0)
    try:
        while not task.stop.is_set() and capture.grab():
            if not pace.due():
                continue
            there, picture = capture.retrieve()
            if not there:
                continue
            letterbox(picture, target)
            boxes, scores, classes = model.run(target)
            scale = max(picture.shape[:2]) / SIZE
            found = sv.Detections(xyxy=boxes * scale, confidence=scores, class_id=classes)
            tracker.update(found)
            told(number, classes)
    finally:
        capture.release()


run_cameras(task, camera)
os._exit(0)
