"""Rendered pictures as H.264, as an IP camera sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vedette.testing.belt.settings import FPS, HEIGHT_PX, WIDTH_PX

#: A key picture a second and no B-frames: what is advised for cameras that are analysed.
_GOP: Final = FPS
_OPTIONS: Final = {
    "preset": "veryfast",
    "crf": "21",
    "x264-params": f"keyint={_GOP}:min-keyint={_GOP}:scenecut=0:bframes=0:open-gop=0",
}


def encode(
    pictures: Iterable[NDArray[np.uint8]], path: Path, *, progress: Callable[[int], None] = lambda _count: None
) -> None:
    """Write pictures to an MP4 file at ``FPS``. One thread, so that the same input gives the same file.

    Args:
        pictures: as ``Belt.frame`` gives them.
        path: the file.
        progress: called with the number of pictures written.
    """
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=FPS, options=_OPTIONS)
        if not isinstance(stream, VideoStream):
            raise TypeError("libx264 is not a video encoder")
        stream.width, stream.height = WIDTH_PX, HEIGHT_PX
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, FPS)
        for number, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            output.mux(stream.encode(frame))
            progress(number + 1)
        output.mux(stream.encode(None))
