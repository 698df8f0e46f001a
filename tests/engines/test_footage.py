"""Real models on real footage, compared with facts checked by eye."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vedette.adapters.engines.onnx import OnnxDetector
from vedette.contracts.manifest import Model, ModelFamily
from vedette.core.labels import COCO
from vedette.core.pixels import Pixels

pytestmark = pytest.mark.footage

MODELS = {ModelFamily.YOLOX: "yolox_nano.onnx", ModelFamily.DETR: "deimv2_hgnetv2_femto_coco.onnx"}


@pytest.fixture(params=list(MODELS), scope="module")
def detector(request: pytest.FixtureRequest, shared_data: Path) -> OnnxDetector:
    file = MODELS[request.param]
    model = Model(family=request.param, file=file, min_confidence=0.4)
    return OnnxDetector((shared_data / "models" / file).read_bytes(), model)


def pictures(file: Path, every: int) -> Iterator[tuple[float, Pixels]]:
    """(seconds into the file, picture) of every n-th picture."""
    with av.open(str(file)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                packed = np.ascontiguousarray(frame.to_ndarray(format="yuv420p"), np.uint8)
                yield float(frame.time or 0), Pixels.from_buffer(packed.reshape(-1), frame.width, frame.height)


def fact(shared_data: Path, video: str, name: str) -> Any:
    document = json.loads((shared_data / "facts" / f"{video}.facts.json").read_text())
    return next(entry["value"] for entry in document["facts"] if entry["id"] == name)


def seen(detector: OnnxDetector, pixels: Pixels, label: str) -> int:
    return int((detector.detect(pixels).classes == COCO.index(label)).sum())


def test_bottles_are_counted(detector: OnnxDetector, shared_data: Path) -> None:
    video = "bottle-detection.mp4"
    intervals = fact(shared_data, video, "bottle_count")
    checked = 0
    for t, pixels in pictures(shared_data / "videos" / video, 12):
        for start, end, count in intervals:
            if start <= t <= end:
                assert seen(detector, pixels, "bottle") == count, f"at {t:.1f} s"
                checked += 1
    assert checked > 40


def test_one_person_at_a_time(detector: OnnxDetector, shared_data: Path) -> None:
    video = "one-by-one-person-detection.mp4"
    present = fact(shared_data, video, "presence_intervals_s")
    empty = fact(shared_data, video, "empty_intervals_s")
    checked = 0
    for t, pixels in pictures(shared_data / "videos" / video, 24):
        if any(a + 1 <= t <= b - 1 for a, b in present):
            assert seen(detector, pixels, "person") == 1, f"at {t:.1f} s"
            checked += 1
        elif any(a <= t <= b for a, b in empty):
            assert seen(detector, pixels, "person") == 0, f"at {t:.1f} s"
            checked += 1
    assert checked > 40
