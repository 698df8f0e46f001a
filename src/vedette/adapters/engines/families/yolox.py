"""YOLOX: one output of raw cells, decoded by grids and strides.

The tensors are those of Megvii's ``tools/export_onnx.py`` without ``--decode_in_inference`` (YOLOX, arXiv 2107.08430):
per cell ``x, y, log w, log h`` in strides, objectness and one confidence per class, both after the sigmoid. The picture
is BGR 0..255, at the top left, padded with 114: the preprocessing of the same repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.families.base import FLOAT, Decoded, Family, Signature
from vedette.adapters.engines.preprocess import Fit, InputFormat
from vedette.contracts.manifest import Channels, Model
from vedette.core.detections import Detections
from vedette.core.letterbox import Letterbox

STRIDES: Final = (8, 16, 32)
# exp(16) strides are already far more than any picture; without the limit a wild value would overflow to infinity.
_MAX_LOG_SIDE: Final = 16.0


class Yolox(Family):
    """Reads YOLOX models of any size and any number of classes."""

    usual_form = InputFormat(Channels.BGR, Fit.TOP_LEFT)

    def __init__(self, model: Model, labels: tuple[str, ...], signature: Signature) -> None:
        super().__init__(model, labels, signature)
        if any(side % STRIDES[-1] for side in self.size):
            raise self.mismatch(f"a YOLOX input needs sides that are multiples of {STRIDES[-1]}; it has {self.size}.")
        self._grid, self._stride = _cells(self.size)
        if len(signature.inputs) != 1 or len(signature.outputs) != 1 or signature.outputs[0].dtype != FLOAT:
            raise self.mismatch(
                "a YOLOX model has one input and one output of 32-bit floats; this one has "
                f"{len(signature.inputs)} and {', '.join(map(str, signature.outputs)) or 'none'}.",
                "Choose the family that fits the model.",
            )
        self._check_shape(signature.outputs[0].shape)

    def feeds(self, tensor: NDArray[np.float32], letterbox: Letterbox) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """The picture alone."""
        return {self.picture.name: tensor}

    def decode(self, outputs: Sequence[NDArray[Any]], letterbox: Letterbox) -> Decoded:
        """Cells above the threshold → boxes → suppression → pixels of the picture."""
        self._check_shape(outputs[0].shape)
        raw: NDArray[np.float32] = outputs[0][0]
        self.check_scores(raw[:, 4:], "confidences")
        if not np.isfinite(raw[:, :4]).all():
            raise self.unusable("boxes hold values that are not numbers.", "The picture is not used. Check the export.")
        # A class can only lower the objectness, so most cells are out before their classes are looked at.
        cells = np.flatnonzero(raw[:, 4] >= self.model.min_confidence)
        cells, more = self.surest(cells, raw[cells, 4])
        classes = raw[cells, 5:].argmax(axis=1)
        scores = raw[cells, 4] * raw[cells, 5 + classes]
        strong = scores >= self.model.min_confidence
        cells, classes, scores = cells[strong], classes[strong].astype(np.int32), scores[strong]
        if not len(cells):
            return Decoded(Detections.empty(), 0)
        stride = self._stride[cells]
        centre = (raw[cells, :2] + self._grid[cells]) * stride
        half = np.exp(np.minimum(raw[cells, 2:4], _MAX_LOG_SIDE)) * (stride * np.float32(0.5))
        boxes = np.concatenate((centre - half, centre + half), axis=1)
        return self.finish(letterbox.to_picture(boxes), scores, classes, letterbox, more=more)

    def _check_shape(self, shape: tuple[int | None, ...]) -> None:
        """One row per cell, five numbers and one per label."""
        cells, columns = len(self._grid), 5 + len(self.labels)
        if len(shape) == 3 and shape[2] not in (None, columns) and shape[1] in (None, cells):
            raise self.mismatch(
                f"it tells {(shape[2] or 0) - 5} classes apart; the manifest lists {len(self.labels)} labels.",
                "Give `labels` in the model's order, or `labels: coco` for the 80 of COCO.",
            )
        if len(shape) != 3 or any(s not in (None, w) for s, w in zip(shape, (1, cells, columns), strict=True)):
            raise self.mismatch(
                f"its output has the shape {list(shape)}; YOLOX at {self.size[0]}x{self.size[1]} with "
                f"{len(self.labels)} labels has [1, {cells}, {columns}].",
                "Choose the family that fits the model, or export it again.",
            )


def _cells(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of every cell, float32 (n, 2), and its stride in pixels, float32 (n, 1), in the output's order."""
    grids, strides = [], []
    for stride in STRIDES:
        columns, rows = size[0] // stride, size[1] // stride
        y, x = np.mgrid[:rows, :columns]
        grids.append(np.stack((x, y), axis=-1).reshape(-1, 2))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)
