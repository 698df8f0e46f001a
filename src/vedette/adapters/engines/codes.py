"""Barcodes and two-dimensional codes as objects whose text is known, read by ZXing-C++ (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from vedette.contracts.base import Polygon
from vedette.core.detections import Detections
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.core.symbologies import SYMBOLOGIES

#: A text that is longer is cut: an alert is no place for a document. QR codes hold up to 4,296 characters.
MAX_TEXT: Final = 256
#: Codes of one picture.
MAX_CODES: Final = 64
#: A reader finds a bar code along one line; its box is given at least this share of its length as height.
LEAST_ASPECT: Final = 0.25
_LEAST_SIDE_PX: Final = 8.0
#: A picture with more pixels is not looked at in twice its size.
LARGEST_DOUBLED_PX: Final = 1280 * 720
_SHARPEN_PX: Final = 2.0
#: Value that hides an area: no edge, no bar.
_GREY: Final = 128

_FORMATS: Final[dict[str, Any]] = {
    "ean13": zxingcpp.BarcodeFormat.EAN13,
    "ean8": zxingcpp.BarcodeFormat.EAN8,
    "upca": zxingcpp.BarcodeFormat.UPCA,
    "upce": zxingcpp.BarcodeFormat.UPCE,
    "code128": zxingcpp.BarcodeFormat.Code128,
    "code39": zxingcpp.BarcodeFormat.Code39,
    "code93": zxingcpp.BarcodeFormat.Code93,
    "codabar": zxingcpp.BarcodeFormat.Codabar,
    "itf": zxingcpp.BarcodeFormat.ITF,
    "databar": zxingcpp.BarcodeFormat.DataBar,
    "pdf417": zxingcpp.BarcodeFormat.PDF417,
    "qr_code": zxingcpp.BarcodeFormat.QRCode,
    "micro_qr_code": zxingcpp.BarcodeFormat.MicroQRCode,
    "data_matrix": zxingcpp.BarcodeFormat.DataMatrix,
    "aztec": zxingcpp.BarcodeFormat.Aztec,
    "maxicode": zxingcpp.BarcodeFormat.MaxiCode,
}


class CodeReader:
    """Reads codes anywhere in a picture. Implements ``vedette.ports.detector.Detector`` and ``Observer``.

    Args:
        formats: names of ``SYMBOLOGIES``; all where empty.
        thorough: where nothing is read, try again sharpened, and at twice the size. Two to five times the time.
    """

    def __init__(self, formats: Sequence[str] = (), *, thorough: bool = False) -> None:
        self.labels = tuple(formats) or SYMBOLOGIES
        self._thorough = thorough
        self._index = {name: position for position, name in enumerate(self.labels)}
        self._formats = zxingcpp.barcode_formats_from_str(",".join(_FORMATS[name].name for name in self.labels))

    def detect(self, pixels: Pixels, hidden: tuple[Polygon, ...] = ()) -> Detections:
        """Codes of one picture; ``texts`` holds what they say, confidence is 1 (check digits and error correction).

        Args:
            pixels: the picture; only its brightness is looked at.
            hidden: areas in which nothing is read, as shares of the picture.
        """
        scale, codes = self._read(pixels.y, hidden)
        found = [(code, label) for code in codes if (label := self._label(code)) is not None]
        if not found:
            return Detections.empty()
        corners = np.array([_corners(code.position) for code, _ in found], np.float32) / np.float32(scale)
        boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)
        side = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1) * LEAST_ASPECT, _LEAST_SIDE_PX)[:, None]
        missing = np.maximum(side - (boxes[:, 2:] - boxes[:, :2]), 0) / 2
        boxes[:, :2] -= missing
        boxes[:, 2:] += missing
        limit = np.array((pixels.width, pixels.height) * 2, np.float32)
        return Detections(
            np.clip(boxes, 0, limit),
            np.ones(len(found), np.float32),
            np.array([self._index[label] for _, label in found], np.int32),
            texts=tuple(code.text[:MAX_TEXT] for code, _ in found),
        )

    def observe(self, part: Part) -> tuple[str, float] | None:
        """Text of the largest code of a part of an object; None where none can be read."""
        found = self.detect(part.pixels)
        if not len(found) or found.texts is None:
            return None
        area = (found.boxes[:, 2] - found.boxes[:, 0]) * (found.boxes[:, 3] - found.boxes[:, 1])
        return found.texts[int(area.argmax())], 1.0

    def _read(self, luma: NDArray[np.uint8], hidden: tuple[Polygon, ...]) -> tuple[float, list[Any]]:
        """Codes, and the scale of the picture in which their places are."""
        luma = np.ascontiguousarray(luma)
        if hidden:
            luma = luma.copy()
            size = (luma.shape[1], luma.shape[0])
            for area in hidden:
                cv2.fillPoly(luma, [np.rint(np.asarray(area) * size).astype(np.int32)], (_GREY,))
        codes = self._codes(luma)
        if codes or not self._thorough:
            return 1.0, codes
        soft = cv2.GaussianBlur(luma, (0, 0), _SHARPEN_PX)
        codes = self._codes(np.asarray(cv2.addWeighted(luma, 2.5, soft, -1.5, 0), np.uint8))
        if codes or luma.size > LARGEST_DOUBLED_PX:
            return 1.0, codes
        doubled = cv2.resize(luma, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC)
        return 2.0, self._codes(np.asarray(doubled, np.uint8))

    def _codes(self, luma: NDArray[np.uint8]) -> list[Any]:
        codes = zxingcpp.read_barcodes(luma, formats=self._formats)
        return [code for code in codes if code.valid and code.text][:MAX_CODES]

    def _label(self, code: Any) -> str | None:
        """The symbology as it was asked for; the reader names some variants more closely."""
        for name in self.labels:
            if code.format == _FORMATS[name] or code.symbology == _FORMATS[name]:
                return name
        return None


def _corners(position: Any) -> list[tuple[int, int]]:
    points = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    return [(point.x, point.y) for point in points]
