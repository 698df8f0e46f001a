"""A picture whose every row tells its number, so that a torn one shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.frames import FrameInfo
from vedette.core.pixels import Pixels


def rows(frame_no: int, height: int, salt: int) -> NDArray[np.uint8]:
    """Value of each row, uint8 (height,)."""
    return ((np.arange(height, dtype=np.uint32) * 13 + frame_no * 7 + salt) & 0xFF).astype(np.uint8)


def picture(frame_no: int, width: int, height: int) -> Pixels:
    """Planes without memory of their own: one value per row, repeated by a stride of 0."""
    w2, h2 = (width + 1) // 2, (height + 1) // 2
    return Pixels(
        np.broadcast_to(rows(frame_no, height, 0)[:, None], (height, width)),
        np.broadcast_to(rows(frame_no, h2, 85)[:, None], (h2, w2)),
        np.broadcast_to(rows(frame_no, h2, 170)[:, None], (h2, w2)),
    )


def intact(pixels: Pixels, frame_no: int) -> bool:
    """Whether every pixel is the one of this picture."""
    expected = picture(frame_no, pixels.width, pixels.height)
    return all(
        bool(np.array_equal(a, b)) for a, b in ((pixels.y, expected.y), (pixels.u, expected.u), (pixels.v, expected.v))
    )


def info(frame_no: int, width: int, height: int, *, t_s: float | None = None, gap_reason: str = "") -> FrameInfo:
    return FrameInfo(
        camera="gate",
        epoch="e1",
        frame_no=frame_no,
        t_s=frame_no / 25 if t_s is None else t_s,
        media_time_s=frame_no / 25,
        wall_s=1.7e9 + frame_no / 25,
        width=width,
        height=height,
        gap_reason=gap_reason,
    )
