"""Which family an ONNX model most likely is of, by the names and shapes of its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vedette.contracts.manifest.models import ModelFamily
from vedette.core.fleet.onnx_header import OnnxHeader, OnnxTensor

_STRIDES: Final = (8, 16, 32)
_COCO_CLASSES: Final = 80


@dataclass(frozen=True, slots=True)
class Guess:
    """A family, and how many classes such a model knows.

    Attributes:
        family: None where the tensors are of no family that is known.
        classes: None where the tensors do not tell.
    """

    family: ModelFamily | None
    classes: int | None = None

    @property
    def labels(self) -> str | tuple[str, ...]:
        """What to write in ``labels``: names that have to be replaced where it is not COCO."""
        if self.classes in (None, _COCO_CLASSES):
            return "coco"
        return tuple(f"class_{number}" for number in range(self.classes or 0))


def guess_family(header: OnnxHeader) -> Guess:
    """Look at the outputs; see ``docs/manifest.md`` for the tensors of each family."""
    names = {tensor.name for tensor in header.outputs}
    if {"labels", "boxes", "scores"} <= names:
        return Guess(ModelFamily.DETR)
    if {"scores", "boxes"} <= names and len(header.outputs) == 2:
        return Guess(ModelFamily.ULTRAFACE, 1)
    if not header.outputs or not header.inputs or len(header.inputs[0].shape) != 4:
        return Guess(None)
    first, cells = header.outputs[0], _cells(header.inputs[0])
    if len(first.shape) == 3 and len(header.outputs) == 1 and cells is not None:
        rows, columns = first.shape[1], first.shape[2]
        if rows == cells and columns is not None and columns > 5:
            return Guess(ModelFamily.YOLOX, columns - 5)
        if columns == cells and rows is not None and rows > 4:
            return Guess(ModelFamily.YOLOV8, rows - 4)
    sides = [side for side in first.shape[1:] if side != 1]
    if len(sides) == 1 and sides[0] is not None:
        return Guess(ModelFamily.CLASSIFIER, sides[0])
    return Guess(None)


def _cells(picture: OnnxTensor) -> int | None:
    height, width = picture.shape[2], picture.shape[3]
    if height is None or width is None:
        return None
    return sum((height // stride) * (width // stride) for stride in _STRIDES)
