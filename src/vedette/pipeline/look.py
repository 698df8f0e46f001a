"""detector + view → the objects of a picture: the parts it shows, analysed one by one and put together."""

from __future__ import annotations

from vedette.contracts.base import Polygon
from vedette.core.detections import Detections
from vedette.core.merge import merge
from vedette.core.pixels import Pixels
from vedette.core.views import WHOLE, View, Window
from vedette.ports.detector import Detector, PictureSequence, SequenceDetector


class Looker:
    """A detector and the way its results for the parts of a picture are put together.

    Safe to share by threads and cameras, unless the detector compares pictures: then each camera has its own
    (``for_camera``), which takes the pictures in their order, one at a time.

    Args:
        detector: the model.
        nms_iou: overlap above which boxes of two parts are one object.
        class_agnostic: boxes of different classes may be one object, too.
    """

    def __init__(
        self, detector: Detector | SequenceDetector, *, nms_iou: float = 0.45, class_agnostic: bool = False
    ) -> None:
        self._detector = detector
        self._sequence: PictureSequence | None = None
        self._nms_iou = nms_iou
        self._class_agnostic = class_agnostic

    @property
    def in_order(self) -> bool:
        """Whether pictures must come one at a time, in the order of their time."""
        return isinstance(self._detector, SequenceDetector)

    def for_camera(self) -> Looker:
        """The one that a camera uses from now on."""
        if not isinstance(self._detector, SequenceDetector):
            return self
        own = Looker(self._detector, nms_iou=self._nms_iou, class_agnostic=self._class_agnostic)
        own._sequence = self._detector.open()
        return own

    def look(self, pixels: Pixels, view: View = WHOLE, t_s: float = 0.0) -> Detections:
        """Objects of one picture, in the picture's own pixels, strongest first.

        Args:
            pixels: the picture.
            view: what of it is looked at.
            t_s: when it was taken, seconds; only detectors that compare pictures ask.

        Raises:
            ModelError: see ``Detector.detect``.
        """
        width, height = pixels.width, pixels.height
        found = [
            (
                window,
                self._detect(
                    pixels.window(window.x, window.y, window.width, window.height),
                    view.hidden(window, width, height),
                    window,
                    t_s,
                ),
            )
            for window in view.windows(width, height)
        ]
        merged = merge(found, width, height, self._nms_iou, class_agnostic=self._class_agnostic)
        return view.keep(merged, width, height)

    def _detect(self, pixels: Pixels, hidden: tuple[Polygon, ...], window: Window, t_s: float) -> Detections:
        detector = self._detector
        if not isinstance(detector, SequenceDetector):
            return detector.detect(pixels, hidden)
        if self._sequence is None:
            self._sequence = detector.open()
        return self._sequence.detect_next(pixels, hidden, window, t_s)
