"""What a detector returns: the value type between engines, trackers and rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects found in one picture.

    Attributes:
        boxes: float32 (n, 4), ``x1, y1, x2, y2`` in pixels of the ORIGINAL picture, x right, y down.
        scores: float32 (n,), confidence 0..1.
        classes: int32 (n,), index into the model's labels.
        truncated: whether weaker objects were left out because there were too many.
        texts: what was read at each object, where the detector reads; else None.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    truncated: bool = False
    texts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not belong together."""
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.classes.shape != (n,):
            raise ValueError(
                f"detections need boxes ({n}, 4), scores ({n},) and classes ({n},); "
                f"got {self.boxes.shape}, {self.scores.shape} and {self.classes.shape}"
            )
        if self.texts is not None and len(self.texts) != n:
            raise ValueError(f"{n} detections have {len(self.texts)} texts")

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.scores)

    def where(self, mask: NDArray[np.bool_]) -> Detections:
        """The objects selected by ``mask``, bool (n,)."""
        texts = None if self.texts is None else tuple(self.texts[row] for row in np.flatnonzero(mask).tolist())
        return Detections(self.boxes[mask], self.scores[mask], self.classes[mask], self.truncated, texts)

    @classmethod
    def empty(cls) -> Detections:
        """No object."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
