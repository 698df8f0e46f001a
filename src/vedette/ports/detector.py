"""A loaded model."""

from __future__ import annotations

from typing import Protocol

from vedette.contracts.base import Polygon
from vedette.core.detections import Detections
from vedette.core.part import Part
from vedette.core.pixels import Pixels


class Detector(Protocol):
    """Pixels in, objects out. Safe to call from several threads at once."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the model's order."""
        ...

    def detect(self, pixels: Pixels, hidden: tuple[Polygon, ...] = ()) -> Detections:
        """Objects of one picture, in the picture's own pixels.

        Args:
            pixels: the picture, or a part of one.
            hidden: areas the model must not see, as shares of ``pixels``; corners may lie outside.

        Raises:
            ModelError: V304, the output holds values that are not numbers or has another shape than promised.
        """
        ...


class Observer(Protocol):
    """Looks at a part of one object. Safe to call from several threads at once."""

    def observe(self, part: Part) -> tuple[str, float] | None:
        """A value and its confidence, 0..1; None where the picture says nothing.

        Args:
            part: the part, and the picture it is a part of.

        Raises:
            ModelError: a model returned nothing usable.
        """
        ...
