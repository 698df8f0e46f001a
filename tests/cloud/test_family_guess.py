"""The family of a model by its tensors, for every family that has a file."""

from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY
from vedette.contracts.manifest import ModelFamily
from vedette.core.fleet.family_guess import guess_family
from vedette.core.fleet.onnx_header import OnnxHeader, OnnxTensor, read_onnx_header
from vedette.testing.models import DETECTORS, bright_rectangle

PICTURE = OnnxTensor("images", "float32", (1, 3, 64, 64))


def header(*outputs: tuple[str, tuple[int | None, ...]], picture: OnnxTensor = PICTURE) -> OnnxHeader:
    return OnnxHeader(17, "", (picture,), tuple(OnnxTensor(name, "float32", shape) for name, shape in outputs), 1)


@pytest.mark.parametrize("family", DETECTORS)
def test_the_tiny_detectors_are_told_apart(family: ModelFamily) -> None:
    guess = guess_family(read_onnx_header(memoryview(bright_rectangle(family)), "tiny"))
    assert guess.family is family
    if family is not ModelFamily.DETR:
        assert guess.classes == 2
        assert guess.labels == ("class_0", "class_1")


def test_the_examples_model_is_of_its_family() -> None:
    content = (REPOSITORY / "examples" / "quality_control" / "parts.onnx").read_bytes()
    assert guess_family(read_onnx_header(memoryview(content), "parts")).family is ModelFamily.DETR


@pytest.mark.parametrize(
    ("found", "family", "classes"),
    [
        (header(("scores", (1, 4420, 2)), ("boxes", (1, 4420, 4))), ModelFamily.ULTRAFACE, 1),
        (header(("prob", (1, 1000))), ModelFamily.CLASSIFIER, 1000),
        (header(("prob", (1, 12, 1, 1))), ModelFamily.CLASSIFIER, 12),
        (header(("out", (1, 84, 85))), ModelFamily.YOLOX, 80),
        # Rows and columns could both be cells; it is read by rows.
        (header(("out", (1, 84, 84))), ModelFamily.YOLOX, 79),
        (header(("masks", (1, 2, 160, 160))), None, None),
        (header(("out", (1, 84, 7)), picture=OnnxTensor("images", "float32", (1, 3, None, None))), None, None),
        (header(picture=OnnxTensor("tokens", "int64", (1, 77))), None, None),
    ],
)
def test_tensors_tell_the_family_or_nothing(found: OnnxHeader, family: ModelFamily | None, classes: int | None) -> None:
    guess = guess_family(found)
    assert (guess.family, guess.classes) == (family, classes)
    assert guess.labels == "coco" or len(guess.labels) == classes
