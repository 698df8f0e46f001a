"""Two models beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from vedette.core.agreement import compare
from vedette.core.detections import Detections


def _objects(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4].copy(), table[:, 4].copy(), table[:, 5].astype(np.int32))


def test_the_same_objects_agree() -> None:
    found = _objects((0, 0, 10, 10, 0.9, 0), (20, 20, 40, 40, 0.5, 1))
    result = compare([(found, found)])
    assert result.agreement == 1
    assert result.mean_iou == pytest.approx(1)
    assert result.drift == 0


def test_what_is_missed_and_what_is_new_both_count() -> None:
    original = _objects((0, 0, 10, 10, 0.9, 0), (20, 20, 40, 40, 0.5, 1))
    other = _objects((0, 0, 10, 10, 0.7, 0), (60, 60, 70, 70, 0.5, 1), (80, 80, 90, 90, 0.5, 1))
    result = compare([(original, other)])
    assert result.recall == 1 / 2
    assert result.precision == result.agreement == 1 / 3
    assert result.drift == pytest.approx(-0.2)


def test_another_class_or_a_small_overlap_is_another_object() -> None:
    original = _objects((0, 0, 10, 10, 0.9, 0))
    assert compare([(original, _objects((0, 0, 10, 10, 0.9, 1)))]).matched == 0
    assert compare([(original, _objects((6, 0, 16, 10, 0.9, 0)))]).matched == 0


def test_an_object_is_matched_once_and_by_its_nearest() -> None:
    original = _objects((0, 0, 10, 10, 0.9, 0))
    result = compare([(original, _objects((0, 0, 10, 8, 0.9, 0), (0, 0, 10, 10, 0.4, 0)))])
    assert result.matched == 1
    assert result.mean_iou == pytest.approx(1)


def test_a_model_that_finds_nothing_does_not_agree() -> None:
    result = compare([(_objects((0, 0, 10, 10, 0.9, 0)), Detections.empty())])
    assert (result.precision, result.recall) == (0, 0)
    assert compare([(Detections.empty(), Detections.empty())]).agreement == 1
