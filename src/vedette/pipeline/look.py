"""detector + view → the objects of a picture: the parts it shows, analysed one by one and put together."""

from __future__ import annotations

from vedette.core.detections import Detections
from vedette.core.merge import merge
from vedette.core.pixels import Pixels
from vedette.core.views import WHOLE, View
from vedette.ports.detector import Detector


class Looker:
    """A detector and the way its results for the parts of a picture are put together. Safe to share by threads.

    Args:
        detector: the model.
        nms_iou: overlap above which boxes of two parts are one object.
        class_agnostic: boxes of different classes may be one object, too.
    """

    def __init__(self, detector: Detector, *, nms_iou: float = 0.45, class_agnostic: bool = False) -> None:
        self._detector = detector
        self._nms_iou = nms_iou
        self._class_agnostic = class_agnostic

    def look(self, pixels: Pixels, view: View = WHOLE) -> Detections:
        """Objects of one picture, in the picture's own pixels, strongest first.

        Raises:
            ModelError: see ``Detector.detect``.
        """
        width, height = pixels.width, pixels.height
        found = [
            (
                window,
                self._detector.detect(
                    pixels.window(window.x, window.y, window.width, window.height), view.hidden(window, width, height)
                ),
            )
            for window in view.windows(width, height)
        ]
        merged = merge(found, width, height, self._nms_iou, class_agnostic=self._class_agnostic)
        return view.keep(merged, width, height)
