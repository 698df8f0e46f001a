"""YOLOv8 and later models with the same output (YOLO11, YOLO12): finished boxes of all cells, not yet suppressed.

The tensor is that of a plain ONNX export (``nms=False``): [1, 4 + classes, cells], per cell the middle, width and
height of a box in pixels of the input, and one confidence per class after the sigmoid; there is no objectness. Cells
are those of the strides 8, 16 and 32, 8,400 at 640x640. The picture is RGB 0..1, scaled to fit, in the middle, padded
with 114, as in these models' training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.families.base import FLOAT, Decoded, Family, Signature
from vedette.adapters.engines.preprocess import Fit, InputFormat
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Channels, Model
from vedette.core.detections import Detections
from vedette.core.letterbox import Letterbox

STRIDES: Final = (8, 16, 32)
#: Numbers per cell that other tasks add: coefficients of masks, 17 points of a body, an angle.
_MASK: Final = 32
_POINTS: Final = 51
_ANGLE: Final = 1
#: Numbers per object of a finished list: box, confidence, class.
_FINISHED: Final = 6
# No box of a real input ends within two pixels of its corner in every cell; shares of the input do.
_LARGEST_SHARE: Final = 2.0
# Far beyond any picture; without the limit the sum of two wild values would overflow to infinity.
_FAR: Final = 1e6

_PLAIN: Final = "Export the detector plainly: format onnx, nms=False, half=False, dynamic=False, batch=1."
_LABELS: Final = "Give `labels` in the model's order, or `labels: coco` for the 80 of COCO."


class Yolov8(Family):
    """Reads the plain exports of YOLOv8-like detectors."""

    usual_form = InputFormat(Channels.RGB, Fit.CENTRE, factor=1.0 / 255.0)

    def __init__(self, model: Model, labels: tuple[str, ...], signature: Signature) -> None:
        super().__init__(model, labels, signature)
        if any(side % STRIDES[-1] for side in self.size):
            raise self.mismatch(f"a YOLOv8 input needs sides that are multiples of {STRIDES[-1]}; it has {self.size}.")
        self._cells = sum((self.size[0] // stride) * (self.size[1] // stride) for stride in STRIDES)
        outputs = signature.outputs
        if len(signature.inputs) != 1 or not outputs or outputs[0].dtype != FLOAT:
            raise self.mismatch(
                "a YOLOv8 model has one input and one output of 32-bit floats; this one has "
                f"{len(signature.inputs)} and {', '.join(map(str, outputs)) or 'none'}.",
                f"Choose the family that fits the model. {_PLAIN}",
            )
        if len(outputs) != 1:
            masks = len(outputs) == 2 and len(outputs[1].shape) == 4
            raise self.mismatch(
                f"a YOLOv8 detector has one output; this one has {', '.join(map(str, outputs))}.",
                "It also makes masks (segmentation); train or download the detection model of the same size."
                if masks
                else _PLAIN,
            )
        self._check_shape(outputs[0].shape)

    def feeds(self, tensor: NDArray[np.float32], letterbox: Letterbox) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """The picture alone."""
        return {self.picture.name: tensor}

    def decode(self, outputs: Sequence[NDArray[Any]], letterbox: Letterbox) -> Decoded:
        """Cells above the threshold → boxes → suppression → pixels of the picture."""
        self._check_shape(outputs[0].shape)
        raw: NDArray[np.float32] = outputs[0][0]
        self.check_scores(raw[4:], "confidences")
        if not np.isfinite(raw[:4]).all():
            raise self.unusable("boxes hold values that are not numbers.", "The picture is not used. Check the export.")
        if 0.0 < raw[:4].max() <= _LARGEST_SHARE:
            raise self.mismatch(
                f"its boxes are shares of the input (none exceeds {raw[:4].max():.2f}); needed are its pixels.",
                "Multiply them in the model by its width and height, or export it with the program it was trained by.",
            )
        best = raw[4:].max(axis=0)
        cells = np.flatnonzero(best >= self.model.min_confidence)
        if not len(cells):
            return Decoded(Detections.empty(), 0)
        cells, more = self.surest(cells, best[cells])
        strong = raw[:, cells]
        classes = strong[4:].argmax(axis=0).astype(np.int32)
        scores = strong[4 + classes, np.arange(len(cells))]
        middle, half = np.clip(strong[:2].T, -_FAR, _FAR), np.clip(strong[2:4].T, -_FAR, _FAR) * np.float32(0.5)
        boxes = np.concatenate((middle - half, middle + half), axis=1)
        return self.finish(letterbox.to_picture(boxes), scores, classes, letterbox, more=more)

    def _check_shape(self, shape: tuple[int | None, ...]) -> None:
        """One column per cell, four numbers and one per label; what else is known is called by its name."""
        rows = 4 + len(self.labels)
        if len(shape) == 3 and all(s in (None, w) for s, w in zip(shape, (1, rows, self._cells), strict=True)):
            return
        wanted = (
            f"YOLOv8 at {self.size[0]}x{self.size[1]} with {len(self.labels)} labels has [1, {rows}, {self._cells}]"
        )
        found = f"its output has the shape {list(shape)}; {wanted}"
        if len(shape) != 3 or shape[0] not in (None, 1):
            raise self.mismatch(f"{found}.", _PLAIN)
        if shape[1] == self._cells:
            raise self._transposed(found, shape[2])
        if shape[2] == _FINISHED:
            raise self.mismatch(
                f"{found}. It is a list of {shape[1] or 'some'} finished objects (an end-to-end export).",
                "Export it without suppression in the model: nms=False, and end2end=False where the export knows it.",
            )
        if shape[2] == self._cells and shape[1] is not None:
            raise self._other_classes(shape[1] - 4)
        if shape[1] == rows:
            raise self.mismatch(
                f"{found}.",
                "Its cells belong to another size of input or to other strides (P2 and P6 models have more): export it "
                "with the strides 8, 16 and 32, and let `input_size` be what it was exported with.",
            )
        raise self.mismatch(f"{found}.", f"Choose the family that fits the model. {_PLAIN}")

    def _transposed(self, found: str, columns: int | None) -> ModelError:
        """The error for one row per cell."""
        if columns == 5 + len(self.labels):
            return self.mismatch(
                f"{found}. It has a row per cell, and one number more (objectness): it is YOLOX or older.",
                "Choose the family `yolox` if YOLOX exported it; older ones are not read.",
            )
        return self.mismatch(
            f"{found}. It is transposed: a row per cell rather than a column.",
            "Export it with the program it was trained by, or append a Transpose with perm=[0, 2, 1].",
        )

    def _other_classes(self, classes: int) -> ModelError:
        """The error for a number of rows that the labels do not explain."""
        labels = len(self.labels)
        more = {_MASK: "makes masks (segmentation)", _POINTS: "finds points of bodies (pose)"}
        if (what := more.get(classes - labels)) is not None:
            return self.mismatch(
                f"it has {classes - labels} numbers per cell more than boxes and {labels} labels: it {what}.",
                "Use the detection model of the same line.",
            )
        hint = _LABELS
        if classes - labels == _ANGLE:
            hint += " If the labels are complete, the model finds turned boxes (OBB), which are not read."
        return self.mismatch(f"it tells {classes} classes apart; the manifest lists {labels} labels.", hint)
