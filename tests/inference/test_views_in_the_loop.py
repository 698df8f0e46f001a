"""Tiles, regions, masks, motion gating and attributes in the real detection loop, with a real, tiny model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.pictures import picture
from tests.inference.test_detect_loop import LABELS, Camera, Journal, attached, plan, wait
from vedette.adapters.engines.codes import CodeReader
from vedette.adapters.engines.moving import MovingDetector
from vedette.adapters.engines.observers import ClassifierObserver
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.adapters.frames import FrameStoreClient
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import ClassifierAttribute, Model, ModelFamily, Motion, Moving, Tiles
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import Attribute
from vedette.core.detections import Detections
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.pipeline.attributes import AttributeLook, AttributeStep
from vedette.pipeline.detect import DetectLoop
from vedette.pipeline.look import Looker
from vedette.pipeline.track import PipelineTracker
from vedette.ports.detector import Detector, SequenceDetector
from vedette.testing import models

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


class Counting:
    """The tiny model, and how often and of what size it was shown something."""

    labels = LABELS

    def __init__(self) -> None:
        self._inner = OnnxDetector(
            models.bright_rectangle(), Model(family=ModelFamily.YOLOX, file="tiny.onnx", labels=LABELS)
        )
        self.sizes: list[tuple[int, int]] = []

    def detect(self, pixels: Pixels, hidden: tuple[Any, ...] = ()) -> Detections:
        self.sizes.append((pixels.width, pixels.height))
        return self._inner.detect(pixels, hidden)


@contextmanager
def running(
    folder: Path,
    journal: Journal,
    plans: list[PipelinePlan],
    detector: Detector | SequenceDetector,
    look: AttributeLook | None = None,
) -> Iterator[DetectLoop]:
    loop = DetectLoop(
        Looker(detector),
        journal,
        lambda camera: FrameStoreClient(folder / f"{camera}.sock"),
        lambda each: PipelineTracker(each, detector.labels),
        lambda _: look,
        threads=2,
    )
    loop.set_pipelines(plans)
    loop.start()
    attached(loop, *{plan.camera for plan in plans})
    try:
        yield loop
    finally:
        assert loop.close(5)


def show(camera: Camera, journal: Journal, pixels: Pixels, pipelines: int = 1) -> None:
    """One picture, analysed before the next one comes."""
    before = len(journal.batches)
    camera.show(pixels)
    journal.until(lambda batches: len(batches) >= before + pipelines)


def test_tiles_find_what_the_whole_picture_hides(short_tmp: Path) -> None:
    """The model answers with one box around all that is bright: two objects are two only where each has its part."""
    camera, journal, detector = Camera(short_tmp), Journal(), Counting()
    both = picture(256, 64, (20, 10, 40, 30))
    both.y[30:50, 200:230] = 235
    cut = plan(pipeline="cut", tiles=Tiles(columns=2, rows=1, overlap=0.0, whole=False))
    with running(short_tmp, journal, [plan(pipeline="all"), cut], detector):
        show(camera, journal, both, 2)
    boxes = {batch.pipeline: np.array(sorted(batch.boxes)) for batch in journal.batches}
    assert np.abs(boxes["app/all"] - [[20, 10, 230, 50]]).max() < 6
    assert np.abs(boxes["app/cut"] - [[20, 10, 40, 30], [200, 30, 230, 50]]).max() < 6
    assert sorted(detector.sizes) == [(128, 64), (128, 64), (256, 64)]


def test_pipelines_that_look_alike_share_one_analysis(short_tmp: Path) -> None:
    camera, journal, detector = Camera(short_tmp), Journal(), Counting()
    plans = [plan(pipeline="a"), plan(pipeline="b"), plan(pipeline="c", region=LEFT), plan(pipeline="d", region=LEFT)]
    with running(short_tmp, journal, plans, detector):
        show(camera, journal, picture(128, 64, (80, 10, 100, 30)), 4)
    assert sorted(detector.sizes) == [(64, 64), (128, 64)]
    assert {batch.pipeline: len(batch.boxes) for batch in journal.batches} == {
        "app/a": 1, "app/b": 1, "app/c": 0, "app/d": 0,
    }  # fmt: skip


def test_each_camera_has_the_background_of_its_own_pictures(short_tmp: Path) -> None:
    cameras, journal = [Camera(short_tmp, name) for name in ("cam-1", "cam-2")], Journal()
    empty, other = picture(256, 128, (0, 0, 2, 2)), picture(256, 128, (160, 40, 220, 100))
    goods = picture(256, 128, (20, 40, 80, 100))
    moving = MovingDetector(Moving(), "object")
    plans = [plan(camera="cam-1"), plan(camera="cam-2")]
    with running(short_tmp, journal, plans, moving):
        for _ in range(30):
            show(cameras[0], journal, empty)
            show(cameras[1], journal, other)
        for _ in range(4):
            show(cameras[0], journal, goods)
            show(cameras[1], journal, other)
    last = {batch.frame.camera: batch for batch in journal.batches}
    assert np.abs(np.array(last["cam-1"].boxes) - [[20, 40, 80, 100]]).max() < 5
    assert last["cam-1"].labels == ("object",)
    assert last["cam-2"].boxes == (), "what stood there from the beginning is its background"


def test_what_is_masked_is_never_seen(short_tmp: Path) -> None:
    camera, journal = Camera(short_tmp), Journal()
    both = picture(256, 64, (20, 10, 40, 30))
    both.y[10:30, 200:230] = 235
    right = tuple((x + 0.5, y) for x, y in LEFT)
    with running(short_tmp, journal, [plan(masks=(right,))], Counting()):
        show(camera, journal, both)
    assert np.abs(np.array(journal.batches[0].boxes) - [[20, 10, 40, 30]]).max() < 6


def test_a_still_scene_is_spared_and_says_what_it_said_before(short_tmp: Path) -> None:
    camera, journal, detector = Camera(short_tmp), Journal(), Counting()
    still, moved = picture(128, 64, (20, 10, 40, 30)), picture(128, 64, (30, 10, 50, 30))
    with running(short_tmp, journal, [plan(motion=Motion(floor_s=60))], detector) as loop:
        for _ in range(5):
            show(camera, journal, still)
        assert len(detector.sizes) == 1
        show(camera, journal, moved)
        assert len(detector.sizes) == 2
        for _ in range(4):
            show(camera, journal, moved)
        figures = loop.figures()["cam"]
    assert len(detector.sizes) == 2
    assert (figures.analysed, figures.spared) == (10, 8)
    assert [batch.track_ids for batch in journal.batches] == [(1,)] * 10
    assert [batch.spared for batch in journal.batches] == [False, *[True] * 4] * 2
    assert [round(batch.boxes[0][0], -1) for batch in journal.batches] == [20] * 5 + [30] * 5
    assert all(batch.frame.frame_no == number for number, batch in enumerate(journal.batches))


def test_the_floor_rate_is_analysed_whatever_moves(short_tmp: Path) -> None:
    camera, journal, detector = Camera(short_tmp), Journal(), Counting()
    with running(short_tmp, journal, [plan(motion=Motion(floor_s=1.0))], detector):
        for number in range(21):
            camera.show(picture(128, 64), t_s=number * 0.2)
            journal.until(lambda batches, n=number: len(batches) > n)  # type: ignore[misc]
    assert len(detector.sizes) == 5, "0, 1, 2, 3 and 4 s"


def test_one_pipeline_that_wants_everything_serves_the_others(short_tmp: Path) -> None:
    camera, journal, detector = Camera(short_tmp), Journal(), Counting()
    plans = [plan(pipeline="spares", motion=Motion(floor_s=60)), plan(pipeline="all")]
    with running(short_tmp, journal, plans, detector):
        for _ in range(4):
            show(camera, journal, picture(128, 64), 2)
    assert len(detector.sizes) == 4


def test_a_new_epoch_is_analysed_afresh(short_tmp: Path) -> None:
    camera, journal, detector = Camera(short_tmp), Journal(), Counting()
    with running(short_tmp, journal, [plan(motion=Motion(floor_s=60))], detector):
        show(camera, journal, picture(128, 64))
        show(camera, journal, picture(128, 64))
        camera.epoch = "e2"
        show(camera, journal, picture(128, 64))
    assert len(detector.sizes) == 2


def test_after_an_analysis_that_failed_the_next_picture_is_not_spared(short_tmp: Path) -> None:
    class Once(Counting):
        def detect(self, pixels: Pixels, hidden: tuple[Any, ...] = ()) -> Detections:
            found = super().detect(pixels, hidden)
            if len(self.sizes) == 1:
                raise ModelError("returned nonsense.", code="V304")
            return found

    camera, journal, detector = Camera(short_tmp), Journal(), Once()
    with running(short_tmp, journal, [plan(motion=Motion(floor_s=60))], detector) as loop:
        camera.show(picture(128, 64))
        wait(lambda: loop.figures()["cam"].invalid == 1)
        show(camera, journal, picture(128, 64))
    assert len(detector.sizes) == 2
    assert "nonsense" in journal.batches[0].frame.gap_reason


@pytest.mark.parametrize("spared", [False, True])
def test_attributes_come_with_the_objects(short_tmp: Path, spared: bool) -> None:
    camera, journal = Camera(short_tmp), Journal()
    classifier = OnnxDetector(
        models.brightness_classifier(), Model(family=ModelFamily.CLASSIFIER, file="c.onnx", labels=("bright", "dark"))
    )
    settings = ClassifierAttribute(type="classifier", model="c", every_s=0, min_size_px=8)
    look = AttributeLook([AttributeStep("shade", settings, ClassifierObserver(classifier, 0.5))])
    wanted = plan(motion=Motion(floor_s=60) if spared else None)
    with running(short_tmp, journal, [wanted], Counting(), look):
        for _ in range(3):
            show(camera, journal, picture(128, 64, (20, 10, 60, 50)))
    first, *others = [batch.attributes for batch in journal.batches]
    assert first[0][0].name == "shade"
    assert first[0][0].value == "bright"
    assert all(each == (() if spared else first) for each in others)


def test_a_picture_overwritten_while_objects_are_looked_at_keeps_its_objects_only(short_tmp: Path) -> None:
    class Dawdling:
        def observe(self, _: Part) -> tuple[str, float]:
            time.sleep(2.2)  # longer than a lease: what this test is about
            return "late", 1.0

    camera, journal = Camera(short_tmp), Journal()
    settings = ClassifierAttribute(type="classifier", model="c", min_size_px=8)
    look = AttributeLook([AttributeStep("shade", settings, Dawdling())])
    with running(short_tmp, journal, [plan()], Counting(), look) as loop:
        show(camera, journal, picture(128, 64, (20, 10, 60, 50)))
        assert loop.figures()["cam"].torn == 1
    assert journal.batches[0].track_ids == (1,)
    assert journal.batches[0].attributes == ()


def test_a_reading_detector_tracks_codes_with_their_text(short_tmp: Path) -> None:
    import zxingcpp

    camera, journal = Camera(short_tmp), Journal()
    code = zxingcpp.create_barcode("PALLET-17", zxingcpp.BarcodeFormat.QRCode)
    image = np.array(code.to_image(scale=4, add_quiet_zones=True))
    with running(short_tmp, journal, [plan()], CodeReader(("qr_code",))):
        for number in range(3):
            pixels = picture(400, 200)
            x = 20 + 20 * number
            pixels.y[20 : 20 + image.shape[0], x : x + image.shape[1]] = image
            show(camera, journal, pixels)
    assert [batch.track_ids for batch in journal.batches] == [(1,)] * 3
    assert {batch.labels for batch in journal.batches} == {("qr_code",)}
    assert {batch.attributes for batch in journal.batches} == {((Attribute("text", "PALLET-17", 1.0),),)}
