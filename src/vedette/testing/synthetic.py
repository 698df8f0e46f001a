"""Small clips made in memory: a bright rectangle moves over a dark ground, a counter is written in blocks.

The counter survives coding (16 blocks, black or white, in the top left corner), so that a test can say which picture
of the clip a decoded frame is. The same arguments give the same bytes on the same libraries.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Final, Literal

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

Image = npt.NDArray[np.uint8]

COUNTER_BITS: Final = 16
_ENCODERS: Final = {"h264": "libx264", "h265": "libx265", "mjpeg": "mjpeg", "mpeg4": "mpeg4"}


def block_px(width: int) -> int:
    """Side of one counter block for a picture of ``width`` pixels."""
    return max(4, width // 32 // 4 * 4)


def draw_picture(number: int, width: int, height: int) -> Image:
    """Return picture ``number``: uint8 (height, width, 3), RGB.

    The rectangle is a quarter of the width and height; its left edge moves by 1/64 of the free width a picture and
    starts again at the left, at half the picture's height.
    """
    image = np.full((height, width, 3), (40, 44, 48), dtype=np.uint8)
    left, top, right, bottom = rectangle(number, width, height)
    image[top:bottom, left:right] = (230, 220, 90)
    side = block_px(width)
    for bit in range(COUNTER_BITS):
        value = 255 if number >> bit & 1 else 0
        image[:side, bit * side : (bit + 1) * side] = value
    return image


def empty_picture(_number: int, width: int, height: int) -> Image:
    """Return a picture in which nothing is: uint8 (height, width, 3), RGB, a still ground that is lighter below."""
    rows = np.linspace(70, 110, height).astype(np.uint8)
    return np.repeat(np.repeat(rows[:, None, None], width, axis=1), 3, axis=2)


def rectangle(number: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Return where the rectangle is in picture ``number``: left, top, right, bottom, pixels."""
    box_width, box_height = width // 4, height // 4
    left = (number % 64) * (width - box_width) // 64
    top = height // 2
    return left, top, left + box_width, top + box_height


def read_counter(image: Image) -> int:
    """Return the number written in a picture.

    Args:
        image: uint8 (height, width, 3) or a luma plane (height, width).
    """
    side = block_px(image.shape[1])
    margin = side // 4
    number = 0
    for bit in range(COUNTER_BITS):
        block = image[margin : side - margin, bit * side + margin : (bit + 1) * side - margin]
        if float(block.mean()) > 127:
            number |= 1 << bit
    return number


def make_clip(
    *,
    codec: Literal["h264", "h265", "mjpeg", "mpeg4"] = "h264",
    frames: int = 50,
    fps: int = 25,
    width: int = 320,
    height: int = 240,
    gop: int = 25,
    b_frames: int = 0,
    container: str = "",
    crf: int = 20,
    open_gop: bool = False,
    draw: Callable[[int, int, int], Image] = draw_picture,
) -> bytes:
    """Return a video file of the pictures 0 to ``frames`` - 1.

    Args:
        codec: coding of the pictures.
        frames: how many.
        fps: pictures a second, evenly spaced.
        width: pixels, even (a multiple of 16 for ``mjpeg``).
        height: pixels, even (a multiple of 16 for ``mjpeg``).
        gop: pictures from one key picture to the next.
        b_frames: most bidirectional pictures in a row.
        container: FFmpeg's name of the file format; MP4, or AVI for ``mjpeg``.
        crf: quality of H.264 and H.265, lower is better and bigger.
        open_gop: pictures that are shown before a key picture may refer to those before it.
        draw: makes a picture of its number, width and height, uint8 (height, width, 3), RGB.
    """
    buffer = io.BytesIO()
    kind = container or ("avi" if codec == "mjpeg" else "mp4")
    with av.open(buffer, "w", format=kind) as output:
        stream = output.add_stream(_ENCODERS[codec], rate=fps, options=_options(codec, gop, b_frames, crf, open_gop))
        if not isinstance(stream, VideoStream):
            raise TypeError(f"{codec} is not a video codec")
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, fps)
        for number in range(frames):
            frame = VideoFrame.from_ndarray(draw(number, width, height), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def _options(codec: str, gop: int, b_frames: int, crf: int, open_gop: bool) -> dict[str, str]:
    fixed = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}"
    opened = f"b-adapt=0:open-gop={int(open_gop)}"
    if codec == "h264":
        # Without adaptive placement the encoder really uses the B-frames asked for on this simple content.
        params = f"{fixed}:{opened}"
        return {"preset": "veryfast", "crf": str(crf), "x264-params": params}
    if codec == "h265":
        params = f"{fixed}:{opened}:log-level=none:pools=none:frame-threads=1"
        return {"preset": "ultrafast", "crf": str(crf), "x265-params": params}
    if codec == "mjpeg":
        return {"huffman": "default", "qmin": "2", "qmax": "4"}
    return {"qmin": "2", "qmax": "4"}
