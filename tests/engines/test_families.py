from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.adapters.engines.families import Decoded, Signature, TensorInfo, make_family
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model
from vedette.core.letterbox import Letterbox

SIZE = (64, 64)
CELLS = 64 + 16 + 4
LABELS = ("person", "car", "dog")


def model(family: str, **settings: Any) -> Model:
    return Model.model_validate({"family": family, "file": "m.onnx", "labels": LABELS, **settings})


def yolox_signature(cells: int = CELLS, columns: int = 8) -> Signature:
    picture = TensorInfo("images", "tensor(float)", (1, 3, 64, 64))
    return Signature((picture,), (TensorInfo("output", "tensor(float)", (1, cells, columns)),))


def detr_signature() -> Signature:
    return Signature(
        (TensorInfo("images", "tensor(float)", (None, 3, 64, 64)), TensorInfo("sizes", "tensor(int64)", (None, 2))),
        (
            TensorInfo("labels", "tensor(int64)", (None, None)),
            TensorInfo("boxes", "tensor(float)", (None, None, 4)),
            TensorInfo("scores", "tensor(float)", (None, None)),
        ),
    )


def raw_yolox(objects: list[tuple[tuple[float, float, float, float], int, float]]) -> np.ndarray:
    """The tensor that means these (box in input pixels, class, confidence): one cell of stride 8 each."""
    out = np.zeros((1, CELLS, 8), np.float32)
    for cell, ((x1, y1, x2, y2), kind, score) in enumerate(objects):
        column, row = cell % 8, cell // 8
        out[0, cell, :4] = (
            (x1 + x2) / 2 / 8 - column,
            (y1 + y2) / 2 / 8 - row,
            np.log((x2 - x1) / 8),
            np.log((y2 - y1) / 8),
        )
        out[0, cell, 4], out[0, cell, 5 + kind] = score, 1
    return out


def decode_yolox(out: np.ndarray, source: tuple[int, int] = SIZE, **settings: Any) -> Decoded:
    family = make_family(model("yolox", **settings), yolox_signature())
    return family.decode([out], Letterbox.top_left(source, SIZE))


def decode_detr(labels: Any, boxes: Any, scores: Any, **settings: Any) -> Decoded:
    family = make_family(model("detr", **settings), detr_signature())
    outputs: list[np.ndarray] = [
        np.array([labels], np.int64),
        np.array([boxes], np.float32).reshape(1, -1, 4),
        np.array([scores], np.float32),
    ]
    return family.decode(outputs, Letterbox.stretched((640, 360), SIZE))


def test_yolox_boxes_come_back_in_the_pictures_pixels() -> None:
    found = decode_yolox(raw_yolox([((8, 4, 24, 20), 1, 0.8), ((30, 10, 40, 30), 2, 0.5)]), (640, 360)).detections
    assert found.classes.tolist() == [1, 2]
    assert found.scores.tolist() == pytest.approx([0.8, 0.5])
    assert found.boxes[0].tolist() == pytest.approx([80, 40, 240, 200], abs=0.01)
    assert found.boxes.dtype == np.float32


def test_yolox_decodes_all_strides() -> None:
    out = np.zeros((1, CELLS, 8), np.float32)
    for cell, centre in ((64 + 5, (16 * 1.5, 16 * 1.5)), (64 + 16 + 3, (32 * 1.5, 32 * 1.5))):
        out[0, cell, :4], out[0, cell, 4:6] = (0.5, 0.5, 0, 0), 0.95
        found = decode_yolox(out).detections
        side = 8 if cell < 80 else 16
        expected = [centre[0] - side, centre[1] - side, centre[0] + side, centre[1] + side]
        assert found.boxes[0].tolist() == pytest.approx(expected)
        out[:] = 0


def test_thresholds_and_suppression_follow_the_manifest() -> None:
    close = raw_yolox(
        [((10, 10, 30, 30), 0, 0.9), ((11, 11, 31, 31), 0, 0.8), ((11, 10, 31, 30), 1, 0.7), ((40, 40, 60, 60), 2, 0.2)]
    )
    assert len(decode_yolox(close).detections) == 2
    assert len(decode_yolox(close, class_agnostic_nms=True).detections) == 1
    assert len(decode_yolox(close, nms_iou=1.0).detections) == 3
    assert len(decode_yolox(close, min_confidence=0.1).detections) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, 1.5])
@pytest.mark.parametrize("column", [4, 5, 7])
def test_confidences_that_are_none_are_refused(value: float, column: int) -> None:
    """Not a number in one class of one cell is enough: the picture is not used."""
    out = raw_yolox([((8, 4, 24, 20), 1, 0.8)])
    out[0, 50, column] = value
    with pytest.raises(ModelError) as caught:
        decode_yolox(out)
    assert caught.value.code == "V304"
    assert caught.value.hint


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_boxes_that_are_none_are_refused(value: float) -> None:
    out = raw_yolox([((8, 4, 24, 20), 1, 0.8)])
    out[0, 70, 2] = value
    with pytest.raises(ModelError, match="V304"):
        decode_yolox(out)
    with pytest.raises(ModelError, match="V304"):
        decode_detr([0], [[0, 0, value, 5]], [0.9])
    with pytest.raises(ModelError, match="V304"):
        decode_detr([0], [[0, 0, 5, 5]], [value])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e30, -1e30, 1e-42])
def test_wild_but_finite_boxes_neither_warn_nor_leave_the_picture(value: float) -> None:
    out = raw_yolox([((8, 4, 24, 20), 1, 0.8), ((8, 30, 24, 40), 1, 0.8)])
    out[0, 0, :4] = value
    boxes = decode_yolox(out).detections.boxes
    assert ((boxes >= 0) & (boxes <= 64)).all()
    decoded = decode_detr([0, 1], [[0, 0, value, value], [-value, -value, value, value]], [0.9, 0.8])
    assert ((decoded.detections.boxes >= 0) & (decoded.detections.boxes <= 640)).all()


def test_what_is_no_box_is_dropped_and_counted() -> None:
    boxes = [
        [10, 10, 10, 50],
        [30, 10, 20, 50],
        [700, 10, 800, 50],
        [-50, -50, -1, -1],
        [-10, -10, 20, 20],
        [0, 0, 0, 0],
    ]
    decoded = decode_detr([0] * 6, boxes, [0.9] * 6)
    assert decoded.dropped == 5
    assert decoded.detections.boxes.tolist() == [[0, 0, 20, 20]]


@pytest.mark.parametrize("n", [10_000, 1_000_000])
def test_very_many_objects_are_capped(n: int) -> None:
    x = np.arange(n, dtype=np.float32) % 600
    y = np.arange(n, dtype=np.float32) // 600 % 300
    boxes = np.stack((x, y, x + 2, y + 2), axis=1)
    decoded = decode_detr(np.zeros(n, np.int64), boxes, np.linspace(1, 0.5, n, dtype=np.float32))
    assert decoded.detections.truncated
    assert 100 <= len(decoded.detections) <= 300


def test_detr_classes_outside_the_labels_are_a_mismatch() -> None:
    for kind in (3, -1):
        with pytest.raises(ModelError, match="3 labels") as caught:
            decode_detr([kind], [[0, 0, 9, 9]], [0.9])
        assert caught.value.code == "V303"


def test_detr_is_told_the_pictures_size() -> None:
    family = make_family(model("detr"), detr_signature())
    feeds = family.feeds(np.zeros((1, 3, 64, 64), np.float32), Letterbox.stretched((640, 360), SIZE))
    assert feeds["sizes"].tolist() == [[640, 360]]
    assert feeds["sizes"].dtype == np.int64


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.floats(0.01, 100))
def test_whatever_the_tensor_objects_are_sound(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    out = (rng.standard_normal((1, CELLS, 8)) * spread).astype(np.float32)
    out[..., 4:] = rng.uniform(0, 1, (1, CELLS, 4))
    found = decode_yolox(out, (320, 200)).detections
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= np.array([320, 200, 320, 200])).all()
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.classes >= 0) & (found.classes < 3)).all()


@pytest.mark.parametrize(
    ("family", "signature", "settings", "words"),
    [
        ("yolox", yolox_signature(columns=85), {}, "80 classes"),
        ("yolox", yolox_signature(cells=99), {}, "shape"),
        ("yolox", yolox_signature(), {"input_size": (96, 96)}, "manifest says 96x96"),
        ("yolox", detr_signature(), {}, "one input"),
        ("detr", yolox_signature(), {}, "with its size"),
        ("yolox", Signature((), ()), {}, "no input"),
        ("yolox", Signature((TensorInfo("x", "tensor(float16)", (1, 3, 64, 64)),), ()), {}, "float16"),
        ("yolox", Signature((TensorInfo("x", "tensor(float)", (1, 64, 64, 3)),), ()), {}, "channels first"),
        ("yolox", Signature((TensorInfo("x", "tensor(float)", (1, 3, None, None)),), ()), {}, "input_size"),
        ("yolox", Signature((TensorInfo("x", "tensor(float)", (1, 3, 40, 40)),), ()), {}, "multiples of 32"),
        ("detr", Signature((TensorInfo("x", "tensor(float)", (1, 3, 9999, 64)),), ()), {}, "4096"),
        ("detr", Signature(detr_signature().inputs, detr_signature().outputs[:2]), {}, "scores"),
    ],
)
def test_models_that_do_not_fit_are_refused(family: str, signature: Signature, settings: dict, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        make_family(model(family, **settings), signature)
    assert caught.value.code == "V303"
    assert words in str(caught.value)


def test_an_open_size_is_that_of_the_manifest() -> None:
    info = TensorInfo("images", "tensor(float)", (None, 3, None, None))
    signature = Signature((info,), (TensorInfo("output", "tensor(float)", (None, None, None)),))
    assert make_family(model("yolox", input_size=(128, 64)), signature).size == (128, 64)
