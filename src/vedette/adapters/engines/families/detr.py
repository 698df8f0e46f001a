"""DETR-like models: ``labels, boxes, scores`` come out ready.

The tensors are those of the RT-DETR line's deployment export (RT-DETR, D-FINE, DEIM, DEIMv2): inputs ``images`` and
``orig_target_sizes`` (int64, width then height; boxes come back in its pixels), outputs ``labels`` int64, ``boxes``
float32 ``x1, y1, x2, y2`` and ``scores`` float32, all for a fixed number of queries.

The picture is RGB 0..1 and STRETCHED to the input, as in these models' training. Measured with DEIMv2-femto on real
footage: padding to keep the shape costs half of the cars seen from above and gives two thirds more doubtful boxes on
people. Suppression runs here too: a set predictor seldom repeats itself within a class, but does so across classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.families.base import FLOAT, Decoded, Family, Signature, TensorInfo
from vedette.adapters.engines.preprocess import Fit, InputFormat
from vedette.contracts.manifest import Channels, Model
from vedette.core.letterbox import Letterbox

_INT64: Final = "tensor(int64)"
_OUTPUTS: Final = {"labels": (_INT64, 2), "boxes": (FLOAT, 3), "scores": (FLOAT, 2)}


class Detr(Family):
    """Reads DETR-like models exported with their postprocessor."""

    usual_form = InputFormat(Channels.RGB, Fit.STRETCH, factor=1.0 / 255.0)

    def __init__(self, model: Model, labels: tuple[str, ...], signature: Signature) -> None:
        super().__init__(model, labels, signature)
        if len(signature.inputs) != 2 or signature.inputs[1].dtype != _INT64 or len(signature.inputs[1].shape) != 2:
            raise self.mismatch(
                "a DETR-like model takes a picture and tensor(int64) [1, 2] with its size; this one takes "
                f"{', '.join(map(str, signature.inputs))}.",
                "Export the model together with its postprocessor, or choose the family that fits.",
            )
        self._places = {name: self._find(name, kind, rank) for name, (kind, rank) in _OUTPUTS.items()}

    def feeds(self, tensor: NDArray[np.float32], letterbox: Letterbox) -> dict[str, NDArray[Any]]:
        """The picture, and its original size for the boxes."""
        return {
            self.picture.name: tensor,
            self.signature.inputs[1].name: np.array([letterbox.source], np.int64),
        }

    def decode(self, outputs: Sequence[NDArray[Any]], letterbox: Letterbox) -> Decoded:
        """Queries above the threshold; overlapping repeats of one object are merged as the manifest says."""
        labels, boxes, scores = (outputs[self._places[name]] for name in _OUTPUTS)
        count = scores.shape[-1]
        if labels.shape != (1, count) or boxes.shape != (1, count, 4) or scores.shape != (1, count):
            raise self.mismatch(
                f"its outputs have the shapes {labels.shape}, {boxes.shape} and {scores.shape}; "
                "needed are (1, n), (1, n, 4) and (1, n)."
            )
        self.check_scores(scores, "confidences")
        if not np.isfinite(boxes).all():
            raise self.unusable("boxes hold values that are not numbers.", "The picture is not used. Check the export.")
        if count and not (labels.min() >= 0 and labels.max() < len(self.labels)):
            raise self.mismatch(
                f"it returned class {labels.max() if labels.max() >= len(self.labels) else labels.min()}; "
                f"the manifest lists {len(self.labels)} labels, numbered from 0.",
                "Give `labels` in the model's order, or `labels: coco` for the 80 of COCO.",
            )
        strong = np.flatnonzero(scores[0] >= self.model.min_confidence)
        strong, more = self.surest(strong, scores[0, strong])
        kinds = labels[0, strong].astype(np.int32)
        return self.finish(boxes[0, strong], scores[0, strong], kinds, letterbox, more=more)

    def _find(self, name: str, kind: str, rank: int) -> int:
        """Place of an output by its name."""
        for index, info in enumerate(self.signature.outputs):
            if info.name == name and info.dtype == kind and len(info.shape) == rank:
                return index
        found = ", ".join(map(str, self.signature.outputs)) or "none"
        raise self.mismatch(
            f"a DETR-like model has an output {TensorInfo(name, kind, (None,) * rank)}; this one has {found}.",
            "Export the model together with its postprocessor, or choose the family that fits.",
        )
