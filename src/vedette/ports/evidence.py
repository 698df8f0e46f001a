"""What makes evidence of an alert: who covers people in pictures, and who writes a clip of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vedette.core.evidence import ClipCut

__all__ = ["ClipCut", "Masker", "Picture", "WrittenClip"]

#: uint8 (height, width, 3), blue, green, red; the origin is the top left corner.
Picture = NDArray[np.uint8]


class Masker(Protocol):
    """Makes people unrecognisable in the pictures of one alert. Used by one thread."""

    def cover(self, picture: Picture, media_time_s: float, epoch: str) -> Picture:
        """A copy of the picture in which nobody can be recognised.

        Args:
            picture: as decoded.
            media_time_s: of the picture, in the time of its epoch, as in ``FrameInfo``.
            epoch: ingest epoch of the picture.

        Raises:
            EvidenceError: V902, this picture cannot be made safe; nothing of it may be kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class WrittenClip:
    """What is in a clip's file.

    Attributes:
        reencoded: whether pictures were encoded anew.
        duration_s: length.
        pictures: how many.
        first_media_time_s: time of the first picture shown; the file's time 0.
        covered_s: time in which the whole picture is filled for privacy.
    """

    reencoded: bool
    duration_s: float
    pictures: int
    first_media_time_s: float
    covered_s: float = 0.0
