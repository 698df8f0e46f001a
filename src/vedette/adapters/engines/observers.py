"""Models that look at parts of objects, behind the port ``Observer``."""

from __future__ import annotations

from vedette.core.pixels import Pixels
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

    def observe(self, pixels: Pixels) -> tuple[str, float] | None:
        """Label and confidence; None where the model is not sure.

        Raises:
            ModelError: see ``Detector.detect``.
        """
        found = self._classifier.detect(pixels)
        if not len(found) or found.scores[0] < self._least:
            return None
        return self._classifier.labels[int(found.classes[0])], float(found.scores[0])
