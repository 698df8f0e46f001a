"""The plain output of YOLOv8-like exports, and what is told to who brings another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.pictures import picture
from tests.engines.test_footage import pictures
from vedette.adapters.engines.families import Decoded, Signature, TensorInfo, make_family
from vedette.adapters.engines.gate import check_model
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, ModelFamily
from vedette.core.letterbox import Letterbox
from vedette.core.pixels import Pixels
from vedette.testing import models

SIZE = (64, 64)
CELLS = 64 + 16 + 4
LABELS = ("hat", "head", "vest")


def model(**settings: Any) -> Model:
    return Model.model_validate({"family": "yolov8", "file": "m.onnx", "labels": LABELS, **settings})


def signature(*shapes: tuple[int | None, ...], side: int | None = 64, dtype: str = "tensor(float)") -> Signature:
    picture = TensorInfo("images", "tensor(float)", (1, 3, side, side))
    return Signature((picture,), tuple(TensorInfo(f"output{n}", dtype, shape) for n, shape in enumerate(shapes)))


def raw(*objects: tuple[tuple[float, float, float, float], int, float]) -> np.ndarray:
    """The tensor that means these (box in input pixels, class, confidence); other cells hold boxes of no confidence."""
    out = np.zeros((1, 7, CELLS), np.float32)
    out[0, :2] = np.random.default_rng(3).uniform(0, 64, (2, CELLS))
    out[0, 2:4] = 8
    for cell, ((x1, y1, x2, y2), kind, score) in enumerate(objects):
        out[0, :4, cell] = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        out[0, 4 + kind, cell] = score
    return out


def decode(out: np.ndarray, source: tuple[int, int] = SIZE, **settings: Any) -> Decoded:
    family = make_family(model(**settings), signature((1, 7, CELLS)))
    return family.decode([out], Letterbox.centred(source, SIZE))


def test_boxes_come_back_in_the_pictures_pixels() -> None:
    """640 x 320 in 64 x 64 is a tenth of the size, 16 rows below the top."""
    found = decode(raw(((8, 20, 24, 36), 1, 0.8), ((30, 18, 40, 40), 2, 0.5)), (640, 320)).detections
    assert found.classes.tolist() == [1, 2]
    assert found.scores.tolist() == pytest.approx([0.8, 0.5])
    assert found.boxes[0].tolist() == pytest.approx([80, 40, 240, 200], abs=0.01)
    assert found.boxes.dtype == np.float32


def test_thresholds_and_suppression_follow_the_manifest() -> None:
    close = raw(
        ((10, 10, 30, 30), 0, 0.9), ((11, 11, 31, 31), 0, 0.8), ((11, 10, 31, 30), 1, 0.7), ((40, 40, 60, 60), 2, 0.2)
    )
    assert len(decode(close).detections) == 2
    assert len(decode(close, class_agnostic_nms=True).detections) == 1
    assert len(decode(close, nms_iou=1.0).detections) == 3
    assert len(decode(close, min_confidence=0.1).detections) == 3
    assert len(decode(raw()).detections) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, 1.5, -0.5])
@pytest.mark.parametrize("row", [4, 5, 6])
def test_confidences_that_are_none_are_refused(value: float, row: int) -> None:
    out = raw(((8, 4, 24, 20), 1, 0.8))
    out[0, row, 50] = value
    with pytest.raises(ModelError) as caught:
        decode(out)
    assert caught.value.code == "V304"
    assert caught.value.hint


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_boxes_that_are_none_are_refused(value: float) -> None:
    out = raw(((8, 4, 24, 20), 1, 0.8))
    out[0, 2, 70] = value
    with pytest.raises(ModelError, match="V304"):
        decode(out)


def test_boxes_in_shares_of_the_input_are_told_from_pixels() -> None:
    out = raw(((8, 4, 24, 20), 1, 0.8))
    out[0, :4] /= 64
    with pytest.raises(ModelError, match="shares of the input") as caught:
        decode(out)
    assert caught.value.code == "V303"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e30, -1e30, 3e38, 1e-42])
def test_wild_but_finite_boxes_neither_warn_nor_leave_the_picture(value: float) -> None:
    out = raw(((8, 4, 24, 20), 1, 0.8), ((8, 30, 24, 40), 1, 0.8))
    out[0, :4, 0] = value
    boxes = decode(out).detections.boxes
    assert ((boxes >= 0) & (boxes <= 64)).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.floats(0.1, 1000))
def test_whatever_the_tensor_objects_are_sound(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    out = np.concatenate(
        (rng.standard_normal((1, 4, CELLS)) * spread + 32, rng.uniform(0, 1, (1, 3, CELLS))), axis=1
    ).astype(np.float32)
    found = decode(out, (320, 200)).detections
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= np.array([320, 200, 320, 200])).all()
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.classes >= 0) & (found.classes < 3)).all()


placed = st.tuples(st.floats(0, 500), st.floats(0, 300), st.floats(20, 140), st.floats(20, 60))


@settings(deadline=None, max_examples=80)
@given(placed, st.integers(0, 2), st.floats(0.31, 1.0), st.sampled_from([(640, 360), (360, 640), (1920, 1080)]))
def test_what_is_put_in_comes_out(
    place: tuple[float, float, float, float], kind: int, score: float, source: tuple[int, int]
) -> None:
    x, y, width, height = (value * source[i % 2] / (640, 360)[i % 2] for i, value in enumerate(place))
    box = np.array([[x, y, x + width, y + height]], np.float32)
    letterbox = Letterbox.centred(source, SIZE)
    x1, y1, x2, y2 = letterbox.to_input(box)[0].tolist()
    family = make_family(model(), signature((1, 7, CELLS)))
    found = family.decode([raw(((x1, y1, x2, y2), kind, score))], letterbox).detections
    assert found.classes.tolist() == [kind]
    assert found.scores.tolist() == pytest.approx([score])
    assert np.abs(found.boxes - box).max() < 0.05 * max(source) / 64


REFUSED = [
    ((1, CELLS, 7), "transposed", "Transpose"),
    ((1, CELLS, 85), "transposed", "Transpose"),
    ((1, CELLS, 8), "objectness", "yolox"),
    ((1, 300, 6), "300 finished objects", "nms=False"),
    ((1, None, 6), "finished objects", "end2end=False"),
    ((1, 44, CELLS), "40 classes", "labels: coco"),
    ((1, 5, CELLS), "1 classes", "in the model's order"),
    ((1, 8, CELLS), "4 classes", "turned boxes"),
    ((1, 7 + 32, CELLS), "masks", "detection model"),
    ((1, 7 + 51, CELLS), "pose", "detection model"),
    ((1, 7, 8400), "[1, 7, 84]", "input_size"),
    ((1, 7, CELLS + 256), "[1, 7, 84]", "P2"),
    ((2, 7, CELLS), "[1, 7, 84]", "batch=1"),
    ((1, 3, 8, 8, 8), "[1, 7, 84]", "nms=False"),
    ((1, 25200, 8), "[1, 7, 84]", "Choose the family"),
]


@pytest.mark.parametrize(("shape", "found", "advice"), REFUSED)
def test_other_exports_are_told_apart_and_it_is_said_what_to_do(
    shape: tuple[int | None, ...], found: str, advice: str
) -> None:
    with pytest.raises(ModelError) as caught:
        make_family(model(), signature(shape))
    assert caught.value.code == "V303"
    assert found in caught.value.message
    assert advice in caught.value.hint


@pytest.mark.parametrize(
    ("given_signature", "words"),
    [
        (signature((1, 7 + 32, CELLS), (1, 32, 16, 16)), "masks"),
        (signature((1, 7, 8, 8), (1, 7, 4, 4), (1, 7, 2, 2)), "one output"),
        (signature((1, 7, CELLS), dtype="tensor(float16)"), "half=False"),
        (signature(), "none"),
        (signature((1, 7, CELLS), side=80), "multiples of 32"),
        (signature((1, 7, CELLS), side=None), "input_size"),
    ],
)
def test_other_models_are_told_apart(given_signature: Signature, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        make_family(model(), given_signature)
    assert caught.value.code == "V303"
    assert words in str(caught.value)


def test_open_sides_are_those_of_the_manifest_and_checked_when_it_runs() -> None:
    info = TensorInfo("images", "tensor(float)", (None, 3, None, None))
    open_ = Signature((info,), (TensorInfo("output0", "tensor(float)", (None, 7, None)),))
    family = make_family(model(input_size=SIZE), open_)
    assert family.size == SIZE
    assert len(family.decode([raw(((8, 4, 24, 20), 1, 0.8))], Letterbox.centred(SIZE, SIZE)).detections) == 1
    with pytest.raises(ModelError, match="finished objects"):
        family.decode([np.zeros((1, 300, 6), np.float32)], Letterbox.centred(SIZE, SIZE))


def transposed(data: bytes, permutation: list[int]) -> bytes:
    """The same model with the sides of its output in another order."""
    graph = onnx.load_from_string(data)
    (output,) = graph.graph.output
    sides = [side.dim_value for side in output.type.tensor_type.shape.dim]
    name = f"{output.name}_turned"
    graph.graph.node.append(onnx.helper.make_node("Transpose", [output.name], [name], perm=permutation))
    del graph.graph.output[:]
    shape = [sides[index] for index in permutation]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    return bytes(graph.SerializeToString())


def test_the_gate_refuses_a_transposed_export_and_takes_it_turned_back() -> None:
    good = models.bright_rectangle(ModelFamily.YOLOV8, labels=3)
    turned = transposed(good, [0, 2, 1])
    with pytest.raises(ModelError, match="transposed") as caught:
        check_model(turned, model())
    assert caught.value.code == "V303"
    assert check_model(transposed(turned, [0, 2, 1]), model()).input_size == SIZE


def test_the_picture_lies_in_the_middle() -> None:
    detector = OnnxDetector(models.bright_rectangle(ModelFamily.YOLOV8, labels=3), model())
    for box in ((300, 100, 500, 300), (0, 0, 64, 64), (576, 296, 640, 360)):
        found = detector.detect(picture(640, 360, box))
        assert np.abs(found.boxes[0] - box).max() <= 10, "a pixel of the input is ten of the picture"


def as_yolov8(data: bytes) -> bytes:
    """YOLOX with its decoding and its way of preparing a picture moved into the graph: it speaks YOLOv8 then."""
    graph = onnx.load_from_string(data)
    (output,), (info,) = list(graph.graph.output), list(graph.graph.input)
    height, width = (side.dim_value for side in info.type.tensor_type.shape.dim[2:])
    grid, stride = [], []
    for each in (8, 16, 32):
        y, x = np.mgrid[: height // each, : width // each]
        grid.append(np.stack((x, y), axis=-1).reshape(-1, 2))
        stride.append(np.full((x.size, 1), each))
    values = {
        "v8_grid": np.concatenate(grid)[None].astype(np.float32),
        "v8_stride": np.concatenate(stride)[None].astype(np.float32),
        "v8_255": np.array(255, np.float32),
        "v8_bgr": np.array([2, 1, 0], np.int64),
    }
    graph.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in values.items())
    node = onnx.helper.make_node
    before = [node("Gather", ["v8_in", "v8_bgr"], ["v8_c"], axis=1), node("Mul", ["v8_c", "v8_255"], [info.name])]
    after = [
        node("Split", [output.name], ["v8_xy", "v8_wh", "v8_o", "v8_p"], axis=2, split=[2, 2, 1, 80]),
        node("Add", ["v8_xy", "v8_grid"], ["v8_at"]),
        node("Mul", ["v8_at", "v8_stride"], ["v8_middle"]),
        node("Exp", ["v8_wh"], ["v8_e"]),
        node("Mul", ["v8_e", "v8_stride"], ["v8_size"]),
        node("Mul", ["v8_o", "v8_p"], ["v8_score"]),
        node("Concat", ["v8_middle", "v8_size", "v8_score"], ["v8_rows"], axis=2),
        node("Transpose", ["v8_rows"], ["output0"], perm=[0, 2, 1]),
    ]
    nodes = [*before, *graph.graph.node, *after]
    del graph.graph.node[:], graph.graph.output[:], graph.graph.input[:]
    graph.graph.node.extend(nodes)
    kinds = onnx.TensorProto
    graph.graph.input.append(onnx.helper.make_tensor_value_info("v8_in", kinds.FLOAT, [1, 3, height, width]))
    cells = sum((height // s) * (width // s) for s in (8, 16, 32))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("output0", kinds.FLOAT, [1, 84, cells]))
    return bytes(graph.SerializeToString())


@pytest.mark.footage
def test_real_weights_find_the_same_people_through_either_family(shared_data: Path) -> None:
    data = (shared_data / "models" / "yolox_nano.onnx").read_bytes()
    one = OnnxDetector(data, Model(family=ModelFamily.YOLOX, file="yolox.onnx", min_confidence=0.5))
    other = OnnxDetector(as_yolov8(data), Model(family=ModelFamily.YOLOV8, file="v8.onnx", min_confidence=0.5))
    seen = missing = 0
    for _, pixels in pictures(shared_data / "videos" / "one-by-one-person-detection.mp4", 50):
        upright = Pixels(pixels.y[:, 200:600], pixels.u[:, 100:300], pixels.v[:, 100:300])  # pads at the sides
        for view in (pixels, upright):
            a, b = one.detect(view), other.detect(view)
            people = a.boxes[(a.classes == 0) & (a.scores > 0.6)]
            found = b.boxes[b.classes == 0]
            seen += len(people)
            missing += sum(not len(found) or np.abs(found - box).max(axis=1).min() > 20 for box in people)
    assert seen > 20
    assert missing <= 0.05 * seen, "the padding lies elsewhere, which moves what the weights see by some pixels"
