"""Decoded pictures as the planes that everything else works on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from vedette.core.pixels import Pixels

#: Pictures are passed on as they are in these formats; others are converted.
_PLANAR: Final = {"yuv420p": False, "yuvj420p": True}
#: FFmpeg's number for full-range ("JPEG") luma.
_FULL_RANGE: Final = 2


@dataclass(frozen=True, slots=True)
class ReadyPicture:
    """A picture that was decoded by something else than FFmpeg, with as much of ``VideoFrame`` as is used.

    Attributes:
        pixels: the picture.
        pts: time stamp of presentation, in units of ``time_base``.
        dts: time stamp of decoding; None where unknown.
        time_base: seconds a unit.
    """

    pixels: Pixels
    pts: int | None
    dts: int | None
    time_base: Fraction | None

    @property
    def time(self) -> float | None:
        """Time stamp of presentation, seconds."""
        return None if self.pts is None or self.time_base is None else float(self.pts * self.time_base)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.pixels.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.pixels.height


def as_pixels(frame: VideoFrame | ReadyPicture) -> Pixels:
    """Views of a decoded picture's planes; formats other than 4:2:0 planar are converted (one copy)."""
    if isinstance(frame, ReadyPicture):
        return frame.pixels
    full_range = _PLANAR.get(frame.format.name)
    if full_range is None:
        full_range = frame.format.name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE
        target = "yuvj420p" if full_range else "yuv420p"
        frame = frame.reformat(format=target)
    else:
        full_range = full_range or int(frame.color_range) == _FULL_RANGE
    chroma = ((frame.height + 1) // 2, (frame.width + 1) // 2)
    return Pixels(
        _plane(frame, 0, frame.height, frame.width),
        _plane(frame, 1, *chroma),
        _plane(frame, 2, *chroma),
        full_range,
    )


def _plane(frame: VideoFrame, index: int, height: int, width: int) -> NDArray[np.uint8]:
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[:height, :width]
