"""UltraFace: small face detectors, two outputs of a fixed number of places.

The tensors are those of Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB: ``scores`` [1, places, 2] after the softmax
(background, face) and ``boxes`` [1, places, 4], ``x1, y1, x2, y2`` as shares of the picture, already decoded. The
picture is RGB, stretched to the input, each value less 127, divided by 128, as in that repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.families.base import FLOAT, Decoded, Family, Signature
from vedette.adapters.engines.preprocess import Fit, InputFormat
from vedette.contracts.manifest import Channels, Model
from vedette.core.letterbox import Letterbox

_OUTPUTS: Final = {"scores": 2, "boxes": 4}
# Shares of the picture beyond it that a box may reach to; anything further away is no answer but an error.
_FAR: Final = 1e3


class Ultraface(Family):
    """Reads UltraFace models of any input size."""

    usual_form = InputFormat(Channels.RGB, Fit.STRETCH, factor=1 / 128, pad=127, mean=(127 / 128,) * 3)

    def __init__(self, model: Model, labels: tuple[str, ...], signature: Signature) -> None:
        super().__init__(model, labels, signature)
        if len(labels) != 1:
            raise self.mismatch(
                f"an UltraFace model finds one thing, faces; the manifest gives it {len(labels)} labels.",
                "Write `labels: [face]`.",
            )
        if len(signature.inputs) != 1:
            raise self.mismatch(f"an UltraFace model has one input; this one has {len(signature.inputs)}.")
        self._places = {name: self._find(name, columns) for name, columns in _OUTPUTS.items()}

    def feeds(self, tensor: NDArray[np.float32], letterbox: Letterbox) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """The picture alone."""
        return {self.picture.name: tensor}

    def decode(self, outputs: Sequence[NDArray[Any]], letterbox: Letterbox) -> Decoded:
        """Places above the threshold → suppression → pixels of the picture."""
        scores, boxes = (np.asarray(outputs[self._places[name]], np.float32) for name in _OUTPUTS)
        count = scores.shape[1] if scores.ndim == 3 else 0
        if scores.shape != (1, count, 2) or boxes.shape != (1, count, 4):
            raise self.mismatch(
                f"its outputs have the shapes {scores.shape} and {boxes.shape}; needed are (1, n, 2) and (1, n, 4)."
            )
        self.check_scores(scores, "confidences")
        if not np.isfinite(boxes).all():
            raise self.unusable("boxes hold values that are not numbers.", "The picture is not used. Check the export.")
        strong = np.flatnonzero(scores[0, :, 1] >= self.model.min_confidence)
        strong, more = self.surest(strong, scores[0, strong, 1])
        size = np.array((*letterbox.source, *letterbox.source), np.float32)
        found = np.clip(boxes[0, strong], -_FAR, _FAR) * size
        return self.finish(found, scores[0, strong, 1], np.zeros(len(strong), np.int32), letterbox, more=more)

    def _find(self, name: str, columns: int) -> int:
        """Place of an output by its name."""
        for index, info in enumerate(self.signature.outputs):
            if info.name == name and info.dtype == FLOAT and len(info.shape) == 3 and info.shape[2] in (None, columns):
                return index
        found = ", ".join(map(str, self.signature.outputs)) or "none"
        raise self.mismatch(
            f"an UltraFace model has an output {name} {FLOAT} [1, ?, {columns}]; this one has {found}.",
            "Export it with its boxes decoded, or choose the family that fits the model.",
        )
