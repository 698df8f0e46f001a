"""A loaded model."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


class PictureSequence(Protocol):
    """The pictures of one camera, one after the other. Used by one thread at a time."""

    def detect_next(self, pixels: Pixels, hidden: tuple[Polygon, ...], place: object, t_s: float) -> Detections:
        """Objects of the next picture, in the pixels of ``pixels``.

        Args:
            pixels: the picture, or a part of one.
            hidden: areas that must not be seen, as shares of ``pixels``; corners may lie outside.
            place: tells one part of the camera's picture from another; equal for the same part of each picture.
            t_s: when it was taken, seconds; a time before that of the last picture begins anew.
        """
        ...


@runtime_checkable
class SequenceDetector(Protocol):
    """A detector that compares the pictures of a camera, so that it needs them in their order."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names."""
        ...

    def open(self) -> PictureSequence:
        """A camera's pictures, from now on."""
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
