"""A part of one object, in its picture: what is looked at more closely, and what stands around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vedette.contracts.alert import Box
from vedette.core.pixels import Pixels

#: Strips beside an object are this share of its width, each.
_STRIP: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of an object.

    Attributes:
        pixels: the part, views into the picture.
        picture: the whole picture.
        box: of the object, pixels of the picture.
        x: left edge of the part, pixels of the picture.
        y: top edge.
    """

    pixels: Pixels
    picture: Pixels
    box: Box
    x: int = 0
    y: int = 0

    @classmethod
    def whole(cls, picture: Pixels) -> Part:
        """A picture as one object that fills it."""
        return cls(picture, picture, (0.0, 0.0, float(picture.width), float(picture.height)))

    def object(self) -> Pixels:
        """The whole object, as far as it is in the picture; the part where nothing of it is."""
        return _window(self.picture, *self.box) or self.pixels

    def beside(self, top_px: float, bottom_px: float) -> tuple[Pixels, ...]:
        """What is left and right of the object between two rows of the picture, each half as wide as the object.

        Args:
            top_px: upper row, pixels of the picture.
            bottom_px: lower row.

        Returns:
            Views, none where the picture ends there.
        """
        x1, _, x2, _ = self.box
        width = _STRIP * (x2 - x1)
        strips = ((x1 - width, x1), (x2, x2 + width))
        found = (_window(self.picture, left, top_px, right, bottom_px) for left, right in strips)
        return tuple(strip for strip in found if strip is not None)


def _window(picture: Pixels, left: float, top: float, right: float, bottom: float) -> Pixels | None:
    """A part of the picture, rounded inwards to whole blocks of chroma; None where it holds none."""
    x, y = max(0, int(left) + 1) // 2 * 2, max(0, int(top) + 1) // 2 * 2
    width, height = min(picture.width, int(right)) - x, min(picture.height, int(bottom)) - y
    return picture.window(x, y, width, height) if min(width, height) >= 2 else None
