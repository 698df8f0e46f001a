"""The belt with its parcels: one strip drawn once, pictures cut out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from vedette.testing.belt.ground import make_ground
from vedette.testing.belt.settings import HEIGHT_PX, RAIL_PX, WIDTH_PX
from vedette.testing.parcels.plan import Parcel, ParcelSettings, Print, plan_parcels

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Symbology → how it is written, and pixels of a module.
_WRITTEN: Final[dict[str, tuple[Any, int]]] = {
    "ean13": (zxingcpp.BarcodeFormat.EAN13, 2),
    "code128": (zxingcpp.BarcodeFormat.Code128, 2),
    "qr_code": (zxingcpp.BarcodeFormat.QRCode, 4),
    "data_matrix": (zxingcpp.BarcodeFormat.DataMatrix, 5),
}
_BAR_PX: Final = 64
_PAPER, _INK = 225.0, 30.0
_STREAM: Final = 32
_LABEL_MARGIN_PX: Final = 8
#: Cardboard: blue and red difference.
_CARTON: Final = (114, 141)
_GREY: Final = 128
#: Limited range, BT.601: what cameras send.
_BLACK, _SPAN = 16.0, 219.0


class ParcelBelt:
    """One piece of footage, picture by picture, in any order.

    Args:
        settings: what to render; the same settings give the same bytes.
        parcels: put onto the belt instead of the planned ones.
        labels: number of a parcel → its label, uint8 (height, width), instead of the written code.
    """

    def __init__(
        self,
        settings: ParcelSettings,
        parcels: tuple[Parcel, ...] | None = None,
        labels: Mapping[int, Image] | None = None,
    ) -> None:
        self.settings = settings
        self.parcels = plan_parcels(settings) if parcels is None else parcels
        ground = make_ground(settings.seed, settings.way_px + WIDTH_PX)
        tone, carton = ground.tone.copy(), np.zeros(ground.tone.shape, np.bool_)
        for parcel in self.parcels:
            self._lay(tone, carton, parcel, (labels or {}).get(parcel.number))
        self._tone = _limited(_seen(tone, settings))
        self._rails = _limited(_seen(ground.rails, settings))
        self._carton = carton[::2]
        self._colour = ground.colour

    def frame(self, number: int) -> Image:
        """One picture: uint8 (HEIGHT_PX * 3 // 2, WIDTH_PX), I420, BT.601, limited range."""
        if not 0 <= number < self.settings.frames:
            raise ValueError(f"there is no picture {number} of {self.settings.frames}")
        begin = self.settings.way_px - number * self.settings.speed_px
        luma = self._rails.copy()
        luma[RAIL_PX:-RAIL_PX] = self._tone[RAIL_PX:-RAIL_PX, begin : begin + WIDTH_PX]
        random = np.random.default_rng([self.settings.seed, _STREAM, number])
        noisy = luma + random.standard_normal(luma.shape, dtype=np.float32) * np.float32(self.settings.noise)
        out = np.empty((HEIGHT_PX * 3 // 2, WIDTH_PX), np.uint8)
        out[:HEIGHT_PX] = np.clip(np.rint(noisy), 0, 255)
        carton = self._carton[:, begin : begin + WIDTH_PX : 2]
        half = carton.shape
        for index, (belt, box) in enumerate(zip(self._colour, _CARTON, strict=True)):
            plane = np.where(carton, box, round(belt)).astype(np.uint8)
            plane[: RAIL_PX // 2] = plane[half[0] - RAIL_PX // 2 :] = _GREY
            rows = HEIGHT_PX + index * HEIGHT_PX // 4
            out[rows : rows + HEIGHT_PX // 4] = plane.reshape(HEIGHT_PX // 4, WIDTH_PX)
        return out

    def _lay(self, tone: Floats, carton: NDArray[np.bool_], parcel: Parcel, label: Image | None) -> None:
        random = np.random.default_rng([self.settings.seed, _STREAM, parcel.number, 0])
        left, top = parcel.left_px + self.settings.way_px, parcel.top_px
        box = np.full((parcel.height_px, parcel.width_px), random.uniform(115, 165), np.float32)
        box += random.normal(0, 3, box.shape).astype(np.float32)
        middle = parcel.height_px // 2
        box[middle - 9 : middle + 9] += 14  # the tape over its flaps
        box[:2] -= 40
        box[-2:] -= 40
        box[:, :2] -= 40
        box[:, -2:] -= 40
        paper = label if label is not None else _label(parcel, random)
        if paper is not None:
            fit = (min(paper.shape[0], box.shape[0] - 8), min(paper.shape[1], box.shape[1] - 8))
            y, x = (box.shape[0] - fit[0]) // 2, (box.shape[1] - fit[1]) // 2
            box[y : y + fit[0], x : x + fit[1]] = paper[: fit[0], : fit[1]]
        rows, columns = slice(top, top + box.shape[0]), slice(left, left + box.shape[1])
        tone[rows, columns] = box
        carton[rows, columns] = True


def _label(parcel: Parcel, random: np.random.Generator) -> Floats | None:
    """The printed label, float32 0..255; None where there is none."""
    if parcel.state is Print.MISSING:
        return None
    form, module = _WRITTEN[parcel.kind]
    code = np.array(zxingcpp.create_barcode(parcel.text, form).to_image(scale=module, add_quiet_zones=True))
    if form in (zxingcpp.BarcodeFormat.EAN13, zxingcpp.BarcodeFormat.Code128):
        code = cv2.resize(code, (code.shape[1], _BAR_PX), interpolation=cv2.INTER_NEAREST)
    code = np.pad(code, _LABEL_MARGIN_PX, constant_values=255)
    paper: Floats = (_INK + code.astype(np.float32) * np.float32((_PAPER - _INK) / 255)).astype(np.float32)
    if parcel.state is Print.SMEARED:  # the ink ran along the label, for twelve modules
        paper = cv2.blur(paper, (12 * module, 3 * module)).astype(np.float32)
    if parcel.state is Print.TORN:  # the right two fifths are gone, all the way down
        kept = round(paper.shape[1] * 0.6)
        paper = paper[:, : kept + int(random.integers(0, 4))]
    return paper


def _seen(image: Floats, settings: ParcelSettings) -> Floats:
    """As the sensor sees it: smeared by the motion, blurred by the lens."""
    smeared = cv2.blur(image, (settings.smear_px, 1)) if settings.smear_px > 1 else image
    result: Floats = cv2.GaussianBlur(smeared, (0, 0), settings.blur_px) if settings.blur_px > 0 else smeared
    return result


def _limited(image: Floats) -> Floats:
    """Full range 0..255 to the limited range of video."""
    result: Floats = np.clip(image * np.float32(_SPAN / 255) + np.float32(_BLACK), 0, 255)
    return result
