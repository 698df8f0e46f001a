"""Where a picture lies inside a model's input, and the way back. Pure geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

#: The content's sides are multiples of it: a 4:2:0 picture is converted in blocks of two by two pixels.
CONTENT_ALIGNMENT_PX: Final = 2


def _aligned(length: float, limit: int) -> int:
    """The nearest length that conversion accepts, at least one block and at most ``limit``."""
    blocks = max(1, round(length / CONTENT_ALIGNMENT_PX))
    return min(blocks * CONTENT_ALIGNMENT_PX, limit // CONTENT_ALIGNMENT_PX * CONTENT_ALIGNMENT_PX)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture of ``source`` pixels, resized to ``content`` pixels, at ``offset`` of an input of ``target`` pixels.

    The two scales differ by the rounding of ``content`` to whole blocks, and on purpose where the picture is stretched.

    Attributes:
        source: (width, height) of the original picture, pixels.
        target: (width, height) of the model's input, pixels.
        content: (width, height) of the resized picture, pixels.
        offset: (x, y) of the content's top left corner in the input, pixels.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    content: tuple[int, int]
    offset: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Refuse sizes nothing can be drawn into."""
        if min(*self.source, *self.content) < 1 or min(self.target) < CONTENT_ALIGNMENT_PX:
            raise ValueError(f"letterbox of {self.source} in {self.target} has no room for a picture")

    @classmethod
    def top_left(cls, source: tuple[int, int], target: tuple[int, int]) -> Self:
        """Same scale for both sides, the picture at the top left, padding to the right or below."""
        scale = min(target[0] / source[0], target[1] / source[1])
        return cls(source, target, (_aligned(source[0] * scale, target[0]), _aligned(source[1] * scale, target[1])))

    @classmethod
    def centred(cls, source: tuple[int, int], target: tuple[int, int]) -> Self:
        """Same scale for both sides, the picture in the middle, padding around it."""
        box = cls.top_left(source, target)
        offset = (target[0] - box.content[0]) // 2, (target[1] - box.content[1]) // 2
        return cls(source, target, box.content, offset)

    @classmethod
    def stretched(cls, source: tuple[int, int], target: tuple[int, int]) -> Self:
        """The picture fills the input; its sides are scaled on their own."""
        return cls(source, target, (_aligned(target[0], target[0]), _aligned(target[1], target[1])))

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels for one pixel of the picture, (horizontal, vertical)."""
        return self.content[0] / self.source[0], self.content[1] / self.source[1]

    def to_input(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of the picture as boxes of the model's input.

        Args:
            boxes: float32 (n, 4), ``x1, y1, x2, y2`` in pixels of the original picture.

        Returns:
            float32 (n, 4) in pixels of the model's input.
        """
        return boxes * self._pair(self.scale) + self._pair(self.offset)

    def to_picture(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of the model's input as boxes of the picture; the inverse of ``to_input``.

        Args:
            boxes: float32 (n, 4), ``x1, y1, x2, y2`` in pixels of the model's input.

        Returns:
            float32 (n, 4) in pixels of the original picture, not clipped.
        """
        return (boxes - self._pair(self.offset)) / self._pair(self.scale)

    @staticmethod
    def _pair(value: tuple[float, float]) -> NDArray[np.float32]:
        return np.array((*value, *value), np.float32)
