"""Models that look at parts of objects, behind the port ``Observer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from vedette.core.part import Part
from vedette.ports.detector import Detector


class ClassifierObserver:
    """The best class of a classification model.

    Args:
        classifier: a model of the family ``classifier``.
        min_confidence: below it the picture says nothing.
    """

    def __init__(self, classifier: Detector, min_confidence: float) -> None:
        self._classifier = classifier
        self._least = min_confidence

    def observe(self, part: Part) -> tuple[str, float] | None:
        """Label and confidence; None where the model is not sure.

        Raises:
            ModelError: see ``Detector.detect``.
        """
        found = self._classifier.detect(part.pixels)
        if not len(found) or found.scores[0] < self._least:
            return None
        return self._classifier.labels[int(found.classes[0])], float(found.scores[0])


#: An object found in an enlarged part belongs to another one where its centre is farther outside the box than this
#: share of its sides.
OUTSIDE: Final = 0.15


class DetectorObserver:
    """The surest class of a detection model, of those that have a value.

    What has its centre outside the object's box, beyond a margin, is a neighbour's and does not count.

    Args:
        detector: a model that finds objects.
        classes: class of the model → value.
        min_confidence: below it the picture says nothing.
    """

    def __init__(self, detector: Detector, classes: Mapping[str, str], min_confidence: float) -> None:
        self._detector = detector
        self._least = min_confidence
        self._values = tuple(classes.get(label) for label in detector.labels)
        self._counts = np.array([value is not None for value in self._values], np.bool_)

    def observe(self, part: Part) -> tuple[str, float] | None:
        """Value and confidence; None where none of the classes is found.

        Raises:
            ModelError: see ``Detector.detect``.
        """
        found = self._detector.detect(part.pixels)
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 + np.array((part.x, part.y), np.float32)
        box = np.array(part.box, np.float32)
        margin = OUTSIDE * (box[2:] - box[:2])
        inside = ((centres >= box[:2] - margin) & (centres <= box[2:] + margin)).all(axis=1)
        rows = np.flatnonzero(inside & self._counts[found.classes] & (found.scores >= self._least))
        if not len(rows):
            return None
        best = rows[found.scores[rows].argmax()]
        value = self._values[int(found.classes[best])]
        return None if value is None else (value, float(found.scores[best]))
