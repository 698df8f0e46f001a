"""How far two models say the same of the same pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vedette.core.detections import Detections
from vedette.core.nms import iou

#: Overlap from which two boxes of one class are the same object.
SAME_OBJECT_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """A model beside the original, whose objects count as right.

    Attributes:
        pictures: that both looked at.
        original: objects that the original found.
        found: objects that the other model found.
        matched: objects of both, of one class and with an overlap of at least ``SAME_OBJECT_IOU``.
        mean_iou: mean overlap of the matched ones, 0..1; 0 where there are none.
        drift: mean of the other's confidence minus the original's, matched ones only.
    """

    pictures: int
    original: int
    found: int
    matched: int
    mean_iou: float
    drift: float

    @property
    def precision(self) -> float:
        """Share of the other's objects that the original found, too."""
        return self.matched / self.found if self.found else float(not self.original)

    @property
    def recall(self) -> float:
        """Share of the original's objects that the other found, too."""
        return self.matched / self.original if self.original else float(not self.found)

    @property
    def agreement(self) -> float:
        """The lower one of the two: nothing is hidden by finding less, or more."""
        return min(self.precision, self.recall)


def compare(pairs: Iterable[tuple[Detections, Detections]]) -> Agreement:
    """Compare what two models found, picture by picture.

    Args:
        pairs: the original's objects and the other's, in pixels of the same picture.
    """
    pictures = original = found = 0
    overlaps: list[float] = []
    drifts: list[float] = []
    for first, second in pairs:
        pictures, original, found = pictures + 1, original + len(first), found + len(second)
        for a, b, overlap in _matches(first, second):
            overlaps.append(overlap)
            drifts.append(float(second.scores[b]) - float(first.scores[a]))
    count = len(overlaps)
    return Agreement(
        pictures,
        original,
        found,
        count,
        sum(overlaps) / count if count else 0.0,
        sum(drifts) / count if count else 0.0,
    )


def _matches(first: Detections, second: Detections) -> list[tuple[int, int, float]]:
    """Largest overlaps first, each object once: (row of the first, row of the second, overlap)."""
    if not len(first) or not len(second):
        return []
    overlap = np.where(first.classes[:, None] == second.classes[None, :], iou(first.boxes, second.boxes), 0)
    taken: list[tuple[int, int, float]] = []
    while (best := float(overlap.max())) >= SAME_OBJECT_IOU:
        a, b = (int(place) for place in np.unravel_index(int(overlap.argmax()), overlap.shape))
        taken.append((a, b, best))
        overlap[a, :] = 0
        overlap[:, b] = 0
    return taken
