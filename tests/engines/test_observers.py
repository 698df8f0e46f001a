"""A detector that looks at parts of objects: the surest class inside the object decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.pictures import picture
from vedette.adapters.engines.observers import DetectorObserver
from vedette.adapters.models.store import ModelStore
from vedette.compose.attribute_models import make_observer
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import ColourAttribute, DetectorAttribute, Model, ModelFamily
from vedette.contracts.plan import AttributePlan
from vedette.core.detections import Detections
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.pipeline.attributes import part_of
from vedette.testing import models

LABELS = ("hard_hat", "head", "person")
VALUES = {"hard_hat": "yes", "head": "no"}
PICTURE = picture(400, 400)
#: A person of 100 x 200 pixels, and what is around.
PART = Part(PICTURE.window(80, 80, 140, 120), PICTURE, (100.0, 100.0, 200.0, 300.0), 80, 80)


class Finds:
    """A detector that finds what a test says, in pixels of what it is shown."""

    labels = LABELS

    def __init__(self, *objects: tuple[str, float, tuple[float, float]]) -> None:
        centres = np.array([[*centre] for _, _, centre in objects], np.float32).reshape(-1, 2)
        self._found = Detections(
            np.concatenate((centres - 5, centres + 5), axis=1),
            np.array([score for _, score, _ in objects], np.float32),
            np.array([LABELS.index(label) for label, _, _ in objects], np.int32),
        )

    def detect(self, pixels: Pixels, hidden: tuple[object, ...] = ()) -> Detections:
        return self._found


def said(*objects: tuple[str, float, tuple[float, float]], least: float = 0.4) -> tuple[str, float] | None:
    found = DetectorObserver(Finds(*objects), VALUES, least).observe(PART)
    return None if found is None else (found[0], round(found[1], 3))


def test_the_surest_class_decides() -> None:
    assert said() is None
    assert said(("hard_hat", 0.6, (70, 30))) == ("yes", 0.6)
    assert said(("hard_hat", 0.6, (70, 30)), ("head", 0.7, (70, 32))) == ("no", 0.7)
    assert said(("head", 0.39, (70, 30))) is None
    assert said(("head", 0.39, (70, 30)), least=0.3) == ("no", 0.39)


def test_classes_without_a_value_do_not_count() -> None:
    assert said(("person", 0.99, (70, 30)), ("hard_hat", 0.5, (70, 30))) == ("yes", 0.5)
    assert said(("person", 0.99, (70, 30))) is None


def test_what_is_found_beside_the_object_is_a_neighbours() -> None:
    """The part begins at 80, 80; the object at 100, 100 with a margin of 15 and 30 pixels."""
    assert said(("hard_hat", 0.9, (2, 30))) is None
    assert said(("hard_hat", 0.9, (137, 30)), ("head", 0.5, (70, 20))) == ("no", 0.5)
    assert said(("hard_hat", 0.9, (6, 30))) == ("yes", 0.9)
    assert said(("hard_hat", 0.9, (70, -5))) == ("yes", 0.9)


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.floats(0, 1), st.tuples(*[st.floats(-50, 200)] * 2)), max_size=6))
def test_whatever_is_found_the_answer_is_one_of_its_own(
    objects: list[tuple[str, float, tuple[float, float]]],
) -> None:
    found = said(*objects)
    if found is None:
        return
    value, score = found
    assert score >= 0.4
    same = [round(float(np.float32(s)), 3) for label, s, _ in objects if VALUES.get(label) == value]
    assert score in same


def plan(model: Model, **settings: object) -> AttributePlan:
    wanted = {"type": "detector", "model": "ppe", "classes": {"hard_hat": "yes"}, **settings}
    return AttributePlan(name="hat", settings=DetectorAttribute.model_validate(wanted), file=model.file, model=model)


@pytest.mark.parametrize("family", models.DETECTORS)
def test_a_real_model_of_each_family_looks_at_the_part(family: ModelFamily, tmp_path: Path) -> None:
    """The attribute's confidence stands for the model's, which would drop everything here."""
    file = tmp_path / "hats.onnx"
    file.write_bytes(models.bright_rectangle(family))
    model = Model(family=family, file=str(file), labels=("hard_hat", "head"), min_confidence=0.99)
    observer = make_observer(plan(model, crop=(-0.2, -0.1, 1.2, 0.5), min_confidence=0.8), ModelStore(tmp_path))
    settings = DetectorAttribute(type="detector", model="m", classes={"x": "y"}, crop=(-0.2, -0.1, 1.2, 0.5))
    box = (100.0, 100.0, 200.0, 300.0)
    bright = part_of(picture(400, 400, (130, 100, 170, 130)), box, settings)
    assert bright is not None
    found = observer.observe(bright)
    assert found is not None
    assert found[0] == "yes"
    assert found[1] == pytest.approx(models.CONFIDENCE)
    dark = part_of(PICTURE, box, settings)
    assert dark is not None
    assert observer.observe(dark) is None


def test_a_model_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "hats.onnx"
    file.write_bytes(models.bright_rectangle(ModelFamily.YOLOX, labels=5))
    with pytest.raises(ModelError, match="5 classes apart") as caught:
        make_observer(plan(Model(family=ModelFamily.YOLOX, file=str(file), labels=LABELS)), ModelStore(tmp_path))
    assert caught.value.code == "V303"


def test_a_colour_needs_no_model(tmp_path: Path) -> None:
    settings = ColourAttribute.model_validate(
        {"type": "colour", "colours": ["hi_vis_orange", {"hue": [200, 240]}], "present": "vest", "absent": "none"}
    )
    observer = make_observer(AttributePlan(name="vest", settings=settings), ModelStore(tmp_path))
    orange = picture(64, 64)
    orange.y[:], orange.u[:], orange.v[:] = 130, 80, 200
    assert observer.observe(Part.whole(orange)) == ("vest", 1.0)
    blue = picture(64, 64)
    blue.y[:], blue.u[:], blue.v[:] = 90, 180, 100
    assert observer.observe(Part.whole(blue)) == ("vest", 1.0)
