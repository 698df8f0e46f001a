"""UltraFace models: faces in the picture's own pixels, and clear words for what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.test_footage import pictures
from vedette.adapters.engines import load_detector
from vedette.adapters.engines.families import Decoded, Signature, TensorInfo, make_family
from vedette.adapters.engines.gate import check_model
from vedette.adapters.engines.preprocess import Preprocessor
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model
from vedette.core.letterbox import Letterbox
from vedette.core.pixels import Pixels
from vedette.testing import models

SIZE = (320, 240)
PICTURE = TensorInfo("input", "tensor(float)", (1, 3, 240, 320))
SCORES = TensorInfo("scores", "tensor(float)", (1, 3, 2))
BOXES = TensorInfo("boxes", "tensor(float)", (1, 3, 4))


def model(**settings: Any) -> Model:
    return Model.model_validate({"family": "ultraface", "file": "f.onnx", "labels": ["face"], **settings})


def decode(scores: Any, boxes: Any, source: tuple[int, int] = (1280, 720), **settings: Any) -> Decoded:
    family = make_family(model(**settings), Signature((PICTURE,), (SCORES, BOXES)))
    tensors = [np.array([scores], np.float32), np.array([boxes], np.float32)]
    return family.decode(tensors, Letterbox.stretched(source, SIZE))


BACKGROUND = (1.0, 0.0)
SURE = (0.1, 0.9)
NOWHERE = (0.0, 0.0, 0.1, 0.1)


def test_boxes_come_back_in_the_pictures_pixels() -> None:
    found = decode([BACKGROUND, SURE, (0.4, 0.6)], [NOWHERE, (0.25, 0.5, 0.5, 0.75), (0.8, 0.1, 1.1, 0.2)]).detections
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    assert found.boxes[0].tolist() == pytest.approx([320, 360, 640, 540])
    assert found.boxes[1].tolist() == pytest.approx([1024, 72, 1280, 144])
    assert found.classes.tolist() == [0, 0]


def test_the_same_face_counts_once() -> None:
    boxes = [(0.25, 0.5, 0.5, 0.75), (0.26, 0.51, 0.5, 0.75), (0.24, 0.5, 0.5, 0.74)]
    assert len(decode([SURE] * 3, boxes).detections) == 1


def test_the_order_of_the_outputs_does_not_matter() -> None:
    family = make_family(model(), Signature((PICTURE,), (BOXES, SCORES)))
    tensors = [np.array([[NOWHERE] * 3], np.float32), np.array([[SURE] * 3], np.float32)]
    assert len(family.decode(tensors, Letterbox.stretched((1280, 720), SIZE)).detections) == 1


@pytest.mark.parametrize(
    ("scores", "boxes"),
    [
        ([(np.nan, np.nan)] * 3, [NOWHERE] * 3),
        ([(-4.0, 7.0)] * 3, [NOWHERE] * 3),
        ([SURE] * 3, [(0.0, 0.0, np.inf, 0.1)] * 3),
        ([BACKGROUND] * 3, [(0.0, np.nan, 0.1, 0.1)] * 3),
    ],
    ids=["no numbers", "logits", "endless box", "box without numbers"],
)
def test_what_is_no_answer_is_refused(scores: Any, boxes: Any) -> None:
    with pytest.raises(ModelError) as caught:
        decode(scores, boxes)
    assert caught.value.code == "V304"


@pytest.mark.parametrize(
    ("settings", "signature", "says"),
    [
        ({"labels": "coco"}, Signature((PICTURE,), (SCORES, BOXES)), "one thing, faces"),
        ({}, Signature((PICTURE, PICTURE), (SCORES, BOXES)), "has one input"),
        ({}, Signature((PICTURE,), (BOXES,)), "has an output scores"),
        ({}, Signature((PICTURE,), (SCORES, TensorInfo("boxes", "tensor(float)", (1, 3, 14)))), "has an output boxes"),
    ],
    ids=["labels", "inputs", "no scores", "wide boxes"],
)
def test_another_model_is_refused_with_a_reason(settings: dict[str, Any], signature: Signature, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        make_family(model(**settings), signature)
    assert caught.value.code == "V303"
    assert caught.value.hint or "input" in says


def test_outputs_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ModelError) as caught:
        decode([SURE] * 2, [NOWHERE] * 3)
    assert caught.value.code == "V303"


def test_the_picture_is_prepared_as_the_model_was_trained() -> None:
    """White is 1, mid-grey (127) is 0, black is just below -0.99; red comes first."""
    form = make_family(model(), Signature((PICTURE,), (SCORES, BOXES))).form
    red = Pixels(
        np.full((240, 320), 82, np.uint8), np.full((120, 160), 90, np.uint8), np.full((120, 160), 240, np.uint8)
    )
    tensor, _ = Preprocessor(SIZE, form).prepare(red)
    assert tensor[0, 0].mean() == pytest.approx(1.0, abs=0.03)
    assert tensor[0, 1:].mean() == pytest.approx(-127 / 128, abs=0.03)


def test_a_model_without_numbers_is_refused_by_the_gate() -> None:
    scores, boxes = np.array([[SURE]], np.float32), np.array([[NOWHERE]], np.float32)
    assert check_model(models.constant_ultraface(scores, boxes), model()).input_size == (64, 64)
    with pytest.raises(ModelError) as caught:
        check_model(models.constant_ultraface(scores, boxes, fault=models.nan_always), model())
    assert caught.value.code == "V304"


@pytest.mark.footage
def test_faces_of_real_footage_are_found(shared_data: Path) -> None:
    """Two people of a shop's aisle turn to the camera; nobody is in an empty room."""
    detector = load_detector(model(min_confidence=0.6), shared_data / "models" / "ultraface_version-RFB-320.onnx")
    seen = [detector.detect(p) for _, p in pictures(shared_data / "videos" / "store-aisle-detection.gif", 5)]
    assert sum(len(found) > 0 for found in seen) >= 3
    empty = next(p for t, p in pictures(shared_data / "videos" / "one-by-one-person-detection.mp4", 12) if t > 2)
    assert len(detector.detect(empty)) == 0
