"""Tensors in which every place holds a box: what is read of them is bounded, and the strongest are still found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.engines.pictures import picture
from vedette.adapters.engines.families import base
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.contracts.manifest import Model, ModelFamily
from vedette.core.nms import MAX_OBJECTS, MAX_READ
from vedette.testing import models

SIDE = 416
CELLS = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))


def yolox(chance: np.random.Generator) -> tuple[bytes, dict[str, Any]]:
    output = np.zeros((1, CELLS, 7), np.float32)
    output[0, :, :4] = chance.normal(0.0, 0.2, (CELLS, 4))
    output[0, :, 4] = chance.uniform(0.5, 0.99, CELLS)
    output[0, :, 5] = 1.0
    return models.constant_yolox(output, (SIDE, SIDE)), {}


def detr(chance: np.random.Generator) -> tuple[bytes, dict[str, Any]]:
    boxes = chance.uniform(0, 400, (1, 9_000, 4)).astype(np.float32)
    boxes[..., 2:] = boxes[..., :2] + 6
    scores = chance.uniform(0.5, 0.99, (1, 9_000)).astype(np.float32)
    return models.constant_detr(np.zeros((1, 9_000), np.int64), boxes, scores), {"family": ModelFamily.DETR}


def ultraface(chance: np.random.Generator) -> tuple[bytes, dict[str, Any]]:
    boxes = chance.uniform(0, 0.95, (1, 9_000, 4)).astype(np.float32)
    boxes[..., 2:] = boxes[..., :2] + 0.02
    face = chance.uniform(0.5, 0.99, (1, 9_000, 1)).astype(np.float32)
    data = models.constant_ultraface(np.concatenate((1 - face, face), axis=2), boxes)
    return data, {"family": ModelFamily.ULTRAFACE, "labels": ("face",)}


@pytest.mark.parametrize("make", [yolox, detr, ultraface])
def test_the_strongest_of_very_many_are_found_and_it_is_said(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data, settings = make(np.random.default_rng(1))
    model = Model(**{"family": ModelFamily.YOLOX, "file": "full.onnx", "labels": ("a", "b"), **settings})
    found = OnnxDetector(data, model).detect(picture(SIDE, SIDE))
    assert found.truncated
    assert len(found) == MAX_OBJECTS
    monkeypatch.setattr(base, "MAX_READ", 10 * MAX_READ)
    everything = OnnxDetector(data, model).detect(picture(SIDE, SIDE))
    assert np.array_equal(found.boxes, everything.boxes)
    assert np.array_equal(found.scores, everything.scores)


def test_it_is_said_where_what_was_left_out_is_all_that_is_wrong() -> None:
    """Every box lies on the same place: one object, and yet not all boxes were read."""
    boxes = np.tile(np.array([10, 10, 60, 60], np.float32), (1, MAX_READ + 1, 1))
    scores = np.full((1, MAX_READ + 1), 0.9, np.float32)
    data = models.constant_detr(np.zeros((1, MAX_READ + 1), np.int64), boxes, scores)
    model = Model(family=ModelFamily.DETR, file="full.onnx", labels=("a",))
    found = OnnxDetector(data, model).detect(picture(64, 64))
    assert (len(found), found.truncated) == (1, True)
