"""From the planes of a decoded picture to the BGR picture that code of a Panorama application works on."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.core.pixels import Pixels

#: What is larger than two megapixels is scaled down into this, at its own aspect, as on an appliance.
LARGEST: Final = (1920, 1080)
_PIXELS_KEPT: Final = 1920 * 1088


def given_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the picture as the code gets it, even numbers where it was scaled."""
    if width * height <= _PIXELS_KEPT:
        return width, height
    scale = min(LARGEST[0] / width, LARGEST[1] / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def write_bgr(pixels: Pixels, target: NDArray[np.uint8]) -> None:
    """Convert a picture, scaled to the target's size.

    Args:
        pixels: the picture.
        target: uint8 ``(height, width, 3)``, C order; filled.
    """
    height, width = target.shape[:2]
    if (width, height) != (pixels.width, pixels.height):
        pixels = _scaled(pixels, width, height)
    if pixels.full_range or width % 2 or height % 2:
        _each_plane(pixels, target)
        return
    cv2.cvtColor(_packed(pixels), cv2.COLOR_YUV2BGR_I420, dst=target)


def _packed(pixels: Pixels) -> NDArray[np.uint8]:
    """The planes as one array, uint8 (height * 3 / 2, width): without a copy where they lie behind each other."""
    height, width = pixels.y.shape
    place = pixels.y.__array_interface__["data"][0]
    rest = [plane.__array_interface__["data"][0] for plane in (pixels.u, pixels.v)]
    whole = all(plane.flags.c_contiguous for plane in (pixels.y, pixels.u, pixels.v))
    if whole and rest == [place + pixels.y.size, place + pixels.y.size + pixels.u.size]:
        return np.lib.stride_tricks.as_strided(pixels.y, (height * 3 // 2, width), (width, 1), writeable=False)
    flat = np.concatenate([plane.reshape(-1) for plane in (pixels.y, pixels.u, pixels.v)])
    return flat.reshape(height * 3 // 2, width)


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    """Each plane scaled down before the colours are made: a quarter of the work of the reverse at 4K."""

    def plane(values: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.uint8)

    half = ((width + 1) // 2, (height + 1) // 2)
    return Pixels(plane(pixels.y, (width, height)), plane(pixels.u, half), plane(pixels.v, half), pixels.full_range)


def _each_plane(pixels: Pixels, target: NDArray[np.uint8]) -> None:
    """JPEG's range and odd sizes, for which OpenCV has no 4:2:0 conversion."""
    height, width = target.shape[:2]
    red, blue = (
        cv2.resize(plane, ((width + 1) // 2 * 2, (height + 1) // 2 * 2), interpolation=cv2.INTER_LINEAR)[
            :height, :width
        ]
        for plane in (pixels.v, pixels.u)
    )
    if pixels.full_range:
        cv2.cvtColor(cv2.merge((pixels.y, red, blue)), cv2.COLOR_YCrCb2BGR, dst=target)
        return
    y = np.clip((pixels.y.astype(np.float32) - 16) * (255 / 219), 0, 255)
    spread = 255 / 224
    full = [np.clip((plane.astype(np.float32) - 128) * spread + 128, 0, 255).astype(np.uint8) for plane in (red, blue)]
    cv2.cvtColor(cv2.merge((np.rint(y).astype(np.uint8), *full)), cv2.COLOR_YCrCb2BGR, dst=target)
