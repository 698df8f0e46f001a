"""Classifier: one output of a confidence per class, for the picture as a whole.

The output is (1, classes) or (1, classes, 1, 1): confidences that sum to 1 (after a softmax), or logits, which get one
here. The picture is RGB 0..1, stretched to the input; a model that was trained on pictures with mean and deviation
taken out says so in the manifest's ``input``.
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

#: Confidences of a softmax sum to 1 within this; float16 models are less exact.
_SUM_SLACK: Final = 0.02


class Classifier(Family):
    """Reads classifiers. The best class is the one "object" of the picture, its box the whole picture."""

    usual_form = InputFormat(Channels.RGB, Fit.STRETCH, factor=1.0 / 255.0)

    def __init__(self, model: Model, labels: tuple[str, ...], signature: Signature) -> None:
        super().__init__(model, labels, signature)
        if len(signature.inputs) != 1 or not signature.outputs or signature.outputs[0].dtype != FLOAT:
            raise self.mismatch(
                "a classifier has one input and an output of 32-bit floats; this one has "
                f"{len(signature.inputs)} and {', '.join(map(str, signature.outputs)) or 'none'}.",
                "Choose the family that fits the model.",
            )
        shape = signature.outputs[0].shape
        if (
            len(shape) not in (2, 4)
            or shape[1] not in (None, len(labels))
            or any(s not in (None, 1) for s in shape[2:])
        ):
            raise self.mismatch(
                f"its output has the shape {list(shape)}; a classifier with {len(labels)} labels has "
                f"[1, {len(labels)}].",
                "Give `labels` in the model's order.",
            )

    def feeds(self, tensor: NDArray[np.float32], letterbox: Letterbox) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """The picture alone."""
        return {self.picture.name: tensor}

    def decode(self, outputs: Sequence[NDArray[Any]], letterbox: Letterbox) -> Decoded:
        """The best class, where it is sure enough."""
        raw = np.asarray(outputs[0], np.float32).reshape(-1)
        if len(raw) != len(self.labels):
            raise self.mismatch(f"it returned {len(raw)} confidences; the manifest lists {len(self.labels)} labels.")
        if not np.isfinite(raw).all():
            raise self.unusable("confidences hold values that are not numbers.", "The picture is not used.")
        if raw.min() < -1e-3 or abs(float(raw.sum()) - 1.0) > _SUM_SLACK:  # logits
            raw = np.exp(raw - raw.max())
            raw /= raw.sum()
        best = int(raw.argmax())
        if raw[best] < self.model.min_confidence:
            return Decoded(Detections.empty(), 0)
        box = np.array([[0, 0, *letterbox.source]], np.float32)
        return Decoded(
            Detections(box, np.clip(raw[best : best + 1], 0, 1), np.array([best], np.int32)),
            0,
        )
