"""Models that tell what a whole picture shows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engines.pictures import picture
from vedette.adapters.engines.observers import ClassifierObserver
from vedette.adapters.engines.onnx import OnnxDetector, load_detector
from vedette.adapters.engines.preprocess import Fit, InputFormat, Preprocessor
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Channels, Model, ModelFamily, ModelInput
from vedette.core.part import Part
from vedette.testing import models

LABELS = ("bright", "dark")


def model(**changes: object) -> Model:
    return Model.model_validate({"family": "classifier", "file": "c.onnx", "labels": LABELS, **changes})


@pytest.mark.parametrize("softmax", [False, True])
def test_the_best_class_is_the_one_object(softmax: bool) -> None:
    classifier = load_detector(model(), models.brightness_classifier(softmax=softmax))
    for pixels, label in ((picture(90, 50, (0, 0, 90, 50)), "bright"), (picture(90, 50), "dark")):
        found = classifier.detect(pixels)
        assert [classifier.labels[index] for index in found.classes] == [label]
        assert found.boxes.tolist() == [[0, 0, 90, 50]]
        assert found.scores[0] == pytest.approx(1.0, abs=1e-3)


def test_a_model_that_is_not_sure_says_nothing() -> None:
    classifier = OnnxDetector(models.brightness_classifier(), model(min_confidence=0.7))
    assert len(classifier.detect(picture(64, 64, (0, 0, 64, 64), luma=126))) == 0
    observer = ClassifierObserver(OnnxDetector(models.brightness_classifier(), model(min_confidence=0)), 0.7)
    assert observer.observe(Part.whole(picture(64, 64, (0, 0, 64, 64), luma=126))) is None
    said = observer.observe(Part.whole(picture(64, 64)))
    assert said is not None
    assert said[0] == "dark"


def test_a_model_with_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        load_detector(model(labels=("a", "b", "c")), models.brightness_classifier())
    assert caught.value.code == "V303"
    assert "3 labels" in caught.value.message


def test_the_manifest_says_how_the_picture_is_prepared() -> None:
    wanted = ModelInput(channels=Channels.BGR, scale=255, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    form = InputFormat(Channels.RGB, Fit.STRETCH).changed(wanted)
    tensor, _ = Preprocessor((8, 8), form).prepare(picture(8, 8, (0, 0, 8, 8)))
    expected = (np.ones(3) - (0.1, 0.2, 0.3)) / (0.5, 0.25, 0.125)
    assert np.abs(tensor[0].mean(axis=(1, 2)) - expected).max() < 0.02
    assert InputFormat(Channels.RGB, Fit.STRETCH).changed(None) == InputFormat(Channels.RGB, Fit.STRETCH)


def test_what_is_hidden_is_painted_over_before_the_model_sees_it() -> None:
    form = InputFormat(Channels.BGR, Fit.TOP_LEFT)
    half = ((0.5, -1.0), (2.0, -1.0), (2.0, 2.0), (0.5, 2.0))
    corner = ((0.4, 0.0), (1.0, 0.0), (1.0, 0.5), (0.4, 0.5))
    tensor, _ = Preprocessor((64, 32), form).prepare(picture(128, 64, (0, 0, 128, 64)), (half, corner))
    assert (tensor[0, :, :, 34:] == 114).all()
    assert (tensor[0, :, :14, 28:] == 114).all()
    assert (tensor[0, :, 20:, :30] > 250).all()


def test_hiding_leaves_the_picture_itself_alone() -> None:
    pixels = picture(128, 64, (0, 0, 128, 64))
    before = pixels.y.copy()
    Preprocessor((64, 32), InputFormat(Channels.BGR, Fit.TOP_LEFT)).prepare(pixels, (((0, 0), (1, 0), (1, 1)),))
    assert (pixels.y == before).all()


def test_built_in_models_take_no_file_and_others_need_one() -> None:
    assert Model(family=ModelFamily.CODES).built_in
    with pytest.raises(ValueError, match="takes no file"):
        Model(family=ModelFamily.CODES, file="x.onnx")
    with pytest.raises(ValueError, match="`file` is missing"):
        Model(family=ModelFamily.YOLOX)
