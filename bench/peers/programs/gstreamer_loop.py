"""GStreamer: a pipeline for each camera that decodes, thins and scales; its appsink gives small BGR pictures."""

from __future__ import annotations

import os

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
import numpy as np  # noqa: E402
from gi.repository import Gst, GstApp  # noqa: E402, F401 - GstApp brings methods of appsink
from work import Model, Pace, begin, canvas, fit, run_cameras, tell, told  # noqa: E402

Gst.init(None)
task = begin()
model = Model(task.model)
tell("ready")
SECOND = 1_000_000_000


def camera(number: int, url: str) -> None:
    """Until it ends or its bus tells an error."""
    width, height = fit(16, 9)
    source = (
        f'rtspsrc location="{url}" protocols=tcp latency=200 ! rtph264depay'
        if task.live
        else f'filesrc location="{url}" ! qtdemux'
    )
    sink = "appsink name=sink max-buffers=2 sync=false drop=" + ("true" if task.live else "false")
    pipeline = Gst.parse_launch(
        f"{source} ! h264parse ! avdec_h264 name=decoder max-threads=1 ! videoscale ! video/x-raw,width={width},"
        f"height={height},pixel-aspect-ratio=1/1 ! videoconvert ! video/x-raw,format=BGR ! {sink}"
    )
    appsink, bus, target = pipeline.get_by_name("sink"), pipeline.get_bus(), canvas()
    pace = Pace(task.fps)
    # By the clock, as the other loops: videorate goes by time stamps, which RTP gives in the order of decoding.
    pipeline.get_by_name("decoder").get_static_pad("src").add_probe(
        Gst.PadProbeType.BUFFER, lambda *_: Gst.PadProbeReturn.OK if pace.due() else Gst.PadProbeReturn.DROP
    )
    pipeline.set_state(Gst.State.PLAYING)
    try:
        while not task.stop.is_set():
            sample = appsink.try_pull_sample(SECOND // 10)
            if sample is None:
                message = bus.pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.EOS)
                if message is not None and message.type == Gst.MessageType.ERROR:
                    raise RuntimeError(message.parse_error()[0].message)
                if message is not None or appsink.is_eos():
                    return
                continue
            there, mapped = sample.get_buffer().map(Gst.MapFlags.READ)
            if there:
                rows = np.frombuffer(mapped.data, np.uint8).reshape(height, -1)
                target[:height, :width] = rows[:, : width * 3].reshape(height, width, 3)
                sample.get_buffer().unmap(mapped)
                told(number, model.run(target)[2])
    finally:
        pipeline.set_state(Gst.State.NULL)


run_cameras(task, camera)
os._exit(0)
