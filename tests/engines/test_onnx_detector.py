from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests.engines.pictures import picture
from vedette.adapters.engines.onnx import OnnxDetector, load_detector
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, ModelFamily, Provider
from vedette.ports.detector import Detector
from vedette.testing import models


def tiny(family: ModelFamily = ModelFamily.YOLOX, **settings: Any) -> Model:
    return Model(family=family, file="tiny.onnx", labels=("a", "b"), **settings)


@pytest.mark.parametrize("family", models.DETECTORS)
@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1920, 1080), (65, 65)])
def test_finds_the_bright_rectangle_where_it_is(family: ModelFamily, size: tuple[int, int]) -> None:
    detector: Detector = OnnxDetector(models.bright_rectangle(family, size=(192, 192)), tiny(family))
    w, h = size
    box = [w // 4, h // 3, w // 2, 2 * h // 3]
    found = detector.detect(picture(w, h, (box[0], box[1], box[2], box[3])))
    assert found.classes.tolist() == [0]
    assert found.scores.tolist() == pytest.approx([models.CONFIDENCE])
    assert np.abs(found.boxes[0] - box).max() <= 2 + max(size) / 192
    assert len(detector.detect(picture(w, h))) == 0
    assert detector.labels == ("a", "b")


def test_one_session_serves_many_threads() -> None:
    detector = OnnxDetector(models.bright_rectangle(size=(192, 192)), tiny())
    wrong: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            w, h = (320, 180) if rng.random() < 0.5 else (200, 300)
            x, y = int(rng.integers(0, w - 60)), int(rng.integers(0, h - 60))
            found = detector.detect(picture(w, h, (x, y, x + 50, y + 50)))
            if len(found) != 1 or np.abs(found.boxes[0] - [x, y, x + 50, y + 50]).max() > 4:
                wrong.append((w, h, x, y, found))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert detector.stats().pictures == 240


def test_a_picture_that_gives_no_numbers_is_refused_and_counted() -> None:
    detector = load_detector(tiny(), models.bright_rectangle(fault=models.nan_when_bright))
    assert len(detector.detect(picture(64, 64, (10, 10, 20, 20)))) == 1
    with pytest.raises(ModelError) as caught:
        detector.detect(picture(64, 64, (0, 0, 64, 64)))
    assert caught.value.code == "V304"
    stats = detector.stats()
    assert (stats.pictures, stats.invalid) == (1, 1)


def test_what_is_left_out_is_counted() -> None:
    boxes = np.zeros((1, 900, 4), np.float32)
    boxes[0, :, 0] = np.arange(900) % 300
    boxes[0, :, 1] = np.arange(900) // 300 * 20
    boxes[0, :, 2:] = boxes[0, :, :2] + 1
    boxes[0, 0] = 0
    data = models.constant_detr(np.zeros((1, 900), np.int64), boxes, np.full((1, 900), 0.9, np.float32))
    detector = OnnxDetector(data, tiny(ModelFamily.DETR))
    found = detector.detect(picture(640, 360))
    assert found.truncated
    assert len(found) == 300
    assert (detector.stats().truncated, detector.stats().boxes_dropped) == (1, 1)


def test_a_missing_provider_is_said_and_detection_goes_on() -> None:
    detector = OnnxDetector(models.bright_rectangle(), tiny(require=Provider.TENSORRT))
    assert detector.degraded.startswith("V306")
    assert "tensorrt" in detector.degraded
    assert len(detector.detect(picture(64, 64, (10, 10, 20, 20)))) == 1
    assert OnnxDetector(models.bright_rectangle(), tiny()).degraded == ""


def test_bytes_are_checked_like_files() -> None:
    with pytest.raises(ModelError, match="V305"):
        load_detector(tiny(sha256="0" * 64), models.bright_rectangle())
    with pytest.raises(ModelError, match="V302"):
        load_detector(tiny(), b"nonsense", gate=False)
