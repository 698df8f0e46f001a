"""Codes as objects: generated ones whose text is known, and photographs of real labels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.adapters.engines.codes import MAX_TEXT, CodeReader
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.core.symbologies import SYMBOLOGIES


def as_pixels(grey: np.ndarray) -> Pixels:
    height, width = grey.shape
    half = ((height + 1) // 2, (width + 1) // 2)
    return Pixels(np.ascontiguousarray(grey), np.full(half, 128, np.uint8), np.full(half, 128, np.uint8))


def printed(text: str, form: zxingcpp.BarcodeFormat, scale: int = 4) -> np.ndarray:
    """A code with its quiet zone, dark on light."""
    image = np.array(zxingcpp.create_barcode(text, form).to_image(scale=scale, add_quiet_zones=True))
    return np.pad(image, 20, constant_values=255)


def on_belt(*codes: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Codes side by side on grey; the picture, and where each begins."""
    height = max(code.shape[0] for code in codes) + 80
    picture = np.full((height, sum(code.shape[1] + 60 for code in codes) + 60), 150, np.uint8)
    places, x = [], 60
    for code in codes:
        picture[40 : 40 + code.shape[0], x : x + code.shape[1]] = code
        places.append((x, 40))
        x += code.shape[1] + 60
    return picture, places


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60))
def test_any_text_of_a_qr_code_is_read(text: str) -> None:
    said = CodeReader(("qr_code",)).observe(Part.whole(as_pixels(printed(text, zxingcpp.BarcodeFormat.QRCode))))
    assert said == (text, 1.0)


def test_each_code_is_an_object_with_its_kind_its_text_and_its_place() -> None:
    picture, places = on_belt(
        printed("4006381333931", zxingcpp.BarcodeFormat.EAN13), printed("PALLET-17", zxingcpp.BarcodeFormat.QRCode)
    )
    reader = CodeReader()
    found = reader.detect(as_pixels(picture))
    assert found.texts is not None
    by_text = {text: row for row, text in enumerate(found.texts)}
    assert set(by_text) == {"4006381333931", "PALLET-17"}
    assert {reader.labels[found.classes[row]] for row in by_text.values()} == {"ean13", "qr_code"}
    assert (found.scores == 1).all()
    for (x, y), text in zip(places, ("4006381333931", "PALLET-17"), strict=True):
        box = found.boxes[by_text[text]]
        assert box[0] >= x - 1
        assert box[1] >= y - 10
        assert (box[2:] - box[:2] >= 20).all()


def test_only_what_was_asked_for_is_read() -> None:
    picture, _ = on_belt(
        printed("4006381333931", zxingcpp.BarcodeFormat.EAN13), printed("PALLET-17", zxingcpp.BarcodeFormat.QRCode)
    )
    reader = CodeReader(("qr_code",))
    assert reader.labels == ("qr_code",)
    assert reader.detect(as_pixels(picture)).texts == ("PALLET-17",)


def test_nothing_is_read_where_nobody_may_look_and_the_picture_stays_as_it_is() -> None:
    picture, _ = on_belt(printed("PALLET-17", zxingcpp.BarcodeFormat.QRCode))
    pixels = as_pixels(picture)
    assert len(CodeReader().detect(pixels, (((0, 0), (1, 0), (1, 1), (0, 1)),))) == 0
    assert len(CodeReader().detect(pixels)) == 1


def test_a_very_long_text_is_cut() -> None:
    said = CodeReader(("qr_code",)).observe(Part.whole(as_pixels(printed("x" * 900, zxingcpp.BarcodeFormat.QRCode))))
    assert said is not None
    assert said[0] == "x" * MAX_TEXT


def test_a_picture_without_codes_and_one_of_noise() -> None:
    reader = CodeReader()
    assert len(reader.detect(as_pixels(np.full((200, 300), 90, np.uint8)))) == 0
    noise = np.random.default_rng(3).integers(0, 256, (200, 300), np.uint8)
    assert reader.detect(as_pixels(noise)).boxes.shape[1] == 4


def test_every_kind_can_be_asked_for_alone() -> None:
    for name in SYMBOLOGIES:
        assert CodeReader((name,)).labels == (name,)


@pytest.mark.footage
def test_photographs_of_labels(shared_data: Path) -> None:
    facts = json.loads((shared_data / "facts" / "barcodes.json").read_text())
    reader, read, wrong = CodeReader(), [], []
    for file in sorted((shared_data / "barcodes").glob("*/*.webp")):
        name = f"{file.parent.name}/{file.stem}"
        grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        expected = file.with_suffix(".txt").read_bytes().decode().replace("\r\n", "\n").strip()
        texts = [text.replace("\r\n", "\n").strip() for text in reader.detect(as_pixels(grey)).texts or ()]
        read += [name] if expected in texts else []
        wrong += [(name, texts)] if texts and expected not in texts else []
    assert wrong == []
    assert len(read) == 21 - len(facts["fails_shared"])
