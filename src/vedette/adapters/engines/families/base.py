"""What every model family has in common: the signature it checks and the caps it keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.preprocess import InputFormat
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model
from vedette.core.detections import Detections
from vedette.core.letterbox import Letterbox
from vedette.core.nms import MAX_READ, nms, strongest

FLOAT: Final = "tensor(float)"
#: Sides a model's picture may have, pixels.
MIN_SIDE_PX: Final = 16
MAX_SIDE_PX: Final = 4096
# A box thinner than this in the original picture is nothing anyone could see.
_MIN_BOX_PX: Final = 0.5
# Confidences computed in float16 or by a fused sigmoid leave 0..1 by this much.
_SCORE_SLACK: Final = 1e-3


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output as ONNX Runtime describes it; a side that is not fixed is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join('?' if side is None else str(side) for side in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """All inputs and outputs of a model."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Objects of one picture and what was left out.

    Attributes:
        detections: the objects.
        dropped: boxes that were no boxes: no area, inverted, outside the picture.
    """

    detections: Detections
    dropped: int


class Family(ABC):
    """Reads the tensors of one kind of model. Holds no state between pictures, so threads share it.

    Args:
        model: thresholds and expectations of the manifest.
        labels: class names in the model's order.
        signature: the model's inputs and outputs.

    Raises:
        ModelError: V303, the model is not what the manifest says.
    """

    usual_form: ClassVar[InputFormat]

    def __init__(self, model: Model, labels: tuple[str, ...], signature: Signature) -> None:
        self.model = model
        self.labels = labels
        self.signature = signature
        self.form = self.usual_form.changed(model.input)
        self.size = self._picture_size()

    @property
    def picture(self) -> TensorInfo:
        """The input that takes the picture."""
        return self.signature.inputs[0]

    @abstractmethod
    def feeds(self, tensor: NDArray[np.float32], letterbox: Letterbox) -> dict[str, NDArray[Any]]:
        """Inputs by name for one picture, float32 (1, 3, height, width)."""

    @abstractmethod
    def decode(self, outputs: Sequence[NDArray[Any]], letterbox: Letterbox) -> Decoded:
        """Objects from a run's outputs, in pixels of the original picture.

        Raises:
            ModelError: V303, a shape differs from what was promised; V304, values that are not numbers.
        """

    def mismatch(self, text: str, hint: str = "") -> ModelError:
        """The error for a model that is not what the manifest says."""
        return ModelError(f"{self.model.file}: {text}", hint=hint, code="V303")

    def unusable(self, text: str, hint: str = "") -> ModelError:
        """The error for outputs that cannot be used."""
        return ModelError(f"{self.model.file}: {text}", hint=hint, code="V304")

    def check_scores(self, scores: NDArray[np.float32], what: str) -> None:
        """Refuse confidences that are not numbers or not within 0..1. NaN and infinity fail the comparison."""
        if scores.size and not (scores.min() >= -_SCORE_SLACK and scores.max() <= 1.0 + _SCORE_SLACK):
            raise self.unusable(
                f"{what} must be numbers from 0 to 1; the model returned {scores.min()} to {scores.max()}.",
                "The picture is not used. Check the export (a missing sigmoid gives values outside 0..1).",
            )

    def surest(self, rows: NDArray[np.intp], scores: NDArray[np.float32]) -> tuple[NDArray[np.intp], bool]:
        """The places of a tensor that are worth reading, and whether there were more.

        Args:
            rows: places above the threshold, intp (n,).
            scores: how sure the model is of each, at most, float32 (n,).
        """
        if len(rows) <= MAX_READ:
            return rows, False
        return rows[strongest(scores, MAX_READ)], True

    def finish(
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        classes: NDArray[np.int32],
        letterbox: Letterbox,
        *,
        more: bool = False,
    ) -> Decoded:
        """Drop what is no box, suppress repeats as the manifest says, clip to the picture, keep the strongest.

        Args:
            boxes: float32 (n, 4), ``x1, y1, x2, y2``, pixels of the original picture, finite.
            scores: float32 (n,).
            classes: int32 (n,).
            letterbox: the picture's place in the input.
            more: whether weaker boxes were left out before.
        """
        limit = np.array((*letterbox.source, *letterbox.source), np.float32)
        clipped = np.clip(boxes, 0, limit)
        good = (clipped[:, 2] - clipped[:, 0] >= _MIN_BOX_PX) & (clipped[:, 3] - clipped[:, 1] >= _MIN_BOX_PX)
        real = np.flatnonzero(good)
        # Overlap is that of the boxes as the model meant them, beyond the edge too; the bound only keeps areas finite.
        meant = np.clip(boxes[real], -limit, 2 * limit)
        kinds = None if self.model.class_agnostic_nms else classes[real]
        kept, truncated = nms(meant, scores[real], kinds, self.model.nms_iou)
        keep = real[kept]
        found = Detections(clipped[keep], np.clip(scores[keep], 0, 1), classes[keep], truncated or more)
        return Decoded(found, len(good) - len(real))

    def _picture_size(self) -> tuple[int, int]:
        """(width, height) of the input, agreed between model and manifest."""
        if not self.signature.inputs:
            raise self.mismatch("the model takes no input.")
        info = self.picture
        if (
            info.dtype != FLOAT
            or len(info.shape) != 4
            or info.shape[0] not in (None, 1)
            or info.shape[1] not in (None, 3)
        ):
            raise self.mismatch(
                f"its first input is {info}; needed is tensor(float) [1, 3, height, width].",
                "Export with a batch of 1, channels first and 32-bit floats.",
            )
        height, width = info.shape[2:]
        wanted = self.model.input_size
        if wanted is None and (width is None or height is None):
            raise self.mismatch(
                f"its input {info} leaves the size open.", "Give `input_size: [width, height]` in the manifest."
            )
        size = (width or (wanted or (0, 0))[0], height or (wanted or (0, 0))[1])
        if wanted is not None and size != wanted:
            raise self.mismatch(
                f"it takes pictures of {size[0]}x{size[1]}; the manifest says {wanted[0]}x{wanted[1]}.",
                "Correct `input_size` or leave it out.",
            )
        if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX and side % 2 == 0 for side in size):
            raise self.mismatch(
                f"it takes pictures of {size[0]}x{size[1]}; allowed are even sides from {MIN_SIDE_PX} to {MAX_SIDE_PX}."
            )
        return size
