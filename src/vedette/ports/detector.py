"""A loaded model."""

from __future__ import annotations

from typing import Protocol

from vedette.core.detections import Detections
from vedette.core.pixels import Pixels


class Detector(Protocol):
    """Pixels in, objects out. Safe to call from several threads at once."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the model's order."""
        ...

    def detect(self, pixels: Pixels) -> Detections:
        """Objects of one picture, in the picture's own pixels.

        Raises:
            ModelError: V304, the output holds values that are not numbers or has another shape than promised.
        """
        ...
