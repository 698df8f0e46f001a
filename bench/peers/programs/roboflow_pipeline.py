"""Roboflow's ``InferencePipeline`` with logic of one's own: it reads, keeps pace and reconnects; the model is ours.

No API key, no model of theirs, no usage reports. Its ``max_fps`` is of all sources together, so it gets the sum.
"""

from __future__ import annotations

import os
import threading

# This version has no switch for its usage reports; they go to a port where nobody listens.
for _endpoint in ("API_USAGE", "API_PLAN"):
    os.environ[f"TELEMETRY_{_endpoint}_ENDPOINT_URL"] = "http://127.0.0.1:9/"
os.environ["TELEMETRY_WEBRTC_PLANS_ENDPOINT_URL"] = "http://127.0.0.1:9/"
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")

from inference.core.interfaces.stream.inference_pipeline import InferencePipeline  # noqa: E402
from work import Model, begin, canvas, letterbox, tell, told  # noqa: E402

task = begin()
model = Model(task.model)
target = canvas()


def analyse(frames: list) -> list:  # type: ignore[type-arg]
    """All cameras' pictures of one turn."""
    counts = []
    for frame in frames:
        letterbox(frame.image, target)
        classes = model.run(target)[2]
        told(frame.source_id or 0, classes)
        counts.append({"classes": classes})
    return counts


pipeline = InferencePipeline.init_with_custom_logic(
    video_reference=task.urls if task.live else task.urls[0],
    on_video_frame=analyse,
    on_prediction=lambda *_: None,
    max_fps=task.fps * len(task.urls) if task.live else None,
)
tell("ready")


def wait() -> None:
    """End it when its time is over; a join that hangs on a dead camera is not waited for."""
    task.stop.wait(task.seconds)
    tell("done")
    os._exit(0)


threading.Thread(target=wait, daemon=True).start()
pipeline.start(use_main_thread=False)
pipeline.join()
if task.live:
    tell("trouble", words="the pipeline ended of itself")
tell("done")
os._exit(0)
