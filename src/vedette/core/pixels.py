"""One decoded picture's pixels, as views into whatever memory holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


def i420_size(width: int, height: int) -> int:
    """Bytes of an I420 picture with rows packed; odd sizes round their chroma up."""
    return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """An I420 (YUV 4:2:0 planar) picture, BT.601 limited range unless ``full_range``.

    Attributes:
        y: uint8 (height, width), luma.
        u: uint8 (ceil(height / 2), ceil(width / 2)), blue difference.
        v: uint8, as ``u``, red difference.
        full_range: luma uses 0..255 instead of 16..235 (MJPEG does).
    """

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]
    full_range: bool = False

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.y.shape[0])

    def window(self, x: int, y: int, width: int, height: int) -> Pixels:
        """A part of the picture as views, no copy. ``x`` and ``y`` are even; the part lies within the picture.

        Raises:
            ValueError: it does not.
        """
        if x % 2 or y % 2 or x < 0 or y < 0 or width < 1 or height < 1:
            raise ValueError(f"window {x},{y} {width}x{height} does not begin at an even place in the picture")
        if x + width > self.width or y + height > self.height:
            raise ValueError(f"window {x},{y} {width}x{height} reaches beyond a picture of {self.width}x{self.height}")
        if (x, y, width, height) == (0, 0, self.width, self.height):
            return self
        rows, columns = slice(y // 2, (y + height + 1) // 2), slice(x // 2, (x + width + 1) // 2)
        return Pixels(
            self.y[y : y + height, x : x + width], self.u[rows, columns], self.v[rows, columns], self.full_range
        )

    @classmethod
    def from_buffer(
        cls, buffer: memoryview | NDArray[np.uint8], width: int, height: int, *, full_range: bool = False
    ) -> Self:
        """Views of the planes of a packed I420 buffer of at least ``i420_size(width, height)`` bytes; no copy.

        Raises:
            ValueError: the buffer is too small.
        """
        flat = np.frombuffer(buffer, np.uint8)
        size = i420_size(width, height)
        if flat.size < size:
            raise ValueError(f"I420 {width}x{height} needs {size} bytes; the buffer has {flat.size}")
        chroma_width, chroma_height = (width + 1) // 2, (height + 1) // 2
        luma, chroma = width * height, chroma_width * chroma_height
        return cls(
            flat[:luma].reshape(height, width),
            flat[luma : luma + chroma].reshape(chroma_height, chroma_width),
            flat[luma + chroma : size].reshape(chroma_height, chroma_width),
            full_range,
        )
