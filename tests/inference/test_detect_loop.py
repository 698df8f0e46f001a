"""The detection loop with real frame stores and a real, tiny model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.pictures import picture
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.adapters.frames import FrameStoreClient, FrameStoreWriter
from vedette.contracts.errors import ModelError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Model, ModelFamily, Tracker
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.detections import Detections
from vedette.core.pixels import Pixels
from vedette.pipeline.camera import CameraAnalysis
from vedette.pipeline.detect import DetectLoop
from vedette.pipeline.look import Looker
from vedette.pipeline.track import PipelineTracker
from vedette.ports.detector import Detector
from vedette.testing import models

LABELS = ("thing", "other")


def plan(camera: str = "cam", pipeline: str = "p", fps: float = 1000, **settings: Any) -> PipelinePlan:
    return PipelinePlan(
        application="app",
        pipeline=pipeline,
        camera=camera,
        app_camera=camera,
        fps=fps,
        tracker=Tracker(min_hits=1),
        **settings,
    )


class Journal:
    """Keeps batches in memory and lets a test wait for them."""

    def __init__(self) -> None:
        self.batches: list[TrackBatch] = []
        self._changed = threading.Condition()

    def append(self, batch: TrackBatch) -> None:
        with self._changed:
            self.batches.append(batch)
            self._changed.notify_all()

    def close(self) -> None: ...

    def until(self, condition: Callable[[list[TrackBatch]], bool], timeout_s: float = 10) -> list[TrackBatch]:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.batches), timeout_s), f"{len(self.batches)} batches"
            return list(self.batches)


class Camera:
    """A capture process as the loop sees it."""

    def __init__(self, folder: Path, name: str = "cam", epoch: str = "e1") -> None:
        self.name, self.epoch = name, epoch
        self.store = FrameStoreWriter(folder / f"{name}.sock", name)
        self.number = -1

    def show(self, pixels: Pixels, t_s: float | None = None, gap_reason: str = "") -> FrameInfo:
        self.number += 1
        t = self.number * 0.2 if t_s is None else t_s
        info = FrameInfo(
            self.name, self.epoch, self.number, t, t, time.time(), pixels.width, pixels.height, gap_reason=gap_reason
        )
        self.store.publish(info, pixels)
        return info


class Slow:
    """A detector that takes its time, or whatever else a test wants."""

    labels = LABELS

    def __init__(self, act: Callable[[Pixels], None]) -> None:
        self._act = act

    def detect(self, pixels: Pixels, hidden: tuple[Any, ...] = ()) -> Detections:
        self._act(pixels)
        return Detections.empty()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def start(journal: Journal, short_tmp: Path) -> Iterator[Callable[..., DetectLoop]]:
    loops: list[DetectLoop] = []

    def make(plans: list[PipelinePlan], detector: Detector | None = None, **settings: Any) -> DetectLoop:
        if detector is None:
            model = Model(family=ModelFamily.YOLOX, file="tiny.onnx", labels=LABELS)
            detector = OnnxDetector(models.bright_rectangle(), model)
        found = detector
        loop = DetectLoop(
            Looker(found),
            journal,
            lambda camera: FrameStoreClient(short_tmp / f"{camera}.sock"),
            lambda plan: PipelineTracker(plan, found.labels),
            **{"threads": 2, **settings},
        )
        loop.set_pipelines(plans)
        loop.start()
        loops.append(loop)
        return loop

    yield make
    for loop in loops:
        assert loop.close(5)


def wait(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.005)


def attached(loop: DetectLoop, *cameras: str) -> None:
    wait(lambda: all(loop.figures()[name].attached for name in cameras or ("cam",)))


def test_pictures_become_batches_in_order(start: Any, journal: Journal, short_tmp: Path) -> None:
    camera = Camera(short_tmp)
    loop = start([plan()])
    attached(loop)
    for number in range(20):
        x = 10 + number
        camera.show(picture(128, 64, (x, 10, x + 40, 50)) if number != 7 else picture(128, 64))
        journal.until(lambda batches, n=number: len(batches) > n)  # type: ignore[misc]
    batches = journal.batches
    assert [b.frame.frame_no for b in batches] == list(range(20))
    assert batches[7].track_ids == (), "an empty picture is a batch too"
    assert {b.track_ids for i, b in enumerate(batches) if i != 7} == {(1,)}
    assert np.abs(np.array(batches[5].boxes[0]) - [15, 10, 55, 50]).max() < 3
    assert batches[0].labels == ("thing",)
    assert all(b.pipeline == "app/p" and b.next_track_id >= 1 and b.analysed_wall_s > 0 for b in batches)
    figures = loop.figures()["cam"]
    assert (figures.analysed, figures.dropped, figures.error) == (20, 0, "")
    assert loop.progress >= 20


def test_the_freshest_picture_is_taken_and_the_missed_are_counted(
    start: Any, journal: Journal, short_tmp: Path
) -> None:
    camera = Camera(short_tmp)
    entered, go = threading.Event(), threading.Event()

    def act(_: Pixels) -> None:
        entered.set()
        assert go.wait(10)

    loop = start([plan(fps=5)], Slow(act))
    attached(loop)
    camera.show(picture(64, 64))
    assert entered.wait(10)
    for _ in range(5):
        camera.show(picture(64, 64))
    go.set()
    batches = journal.until(lambda found: len(found) == 2)
    assert [b.frame.frame_no for b in batches] == [0, 5]
    wait(lambda: loop.figures()["cam"].dropped == 4)


def test_one_camera_is_never_analysed_twice_at_once(start: Any, journal: Journal, short_tmp: Path) -> None:
    cameras = [Camera(short_tmp, name) for name in ("a", "b", "c")]
    inside: dict[int, int] = {}
    worst = 0
    lock = threading.Lock()

    def act(pixels: Pixels) -> None:
        nonlocal worst
        with lock:
            inside[pixels.width] = inside.get(pixels.width, 0) + 1
            worst = max(worst, inside[pixels.width])
        threading.Event().wait(0.002)
        with lock:
            inside[pixels.width] -= 1

    loop = start([plan(name) for name in "abc"], Slow(act), threads=4)
    attached(loop, "a", "b", "c")
    for _ in range(40):
        for index, camera in enumerate(cameras):
            camera.show(picture(32 + 2 * index, 32))  # the width tells the cameras apart
        threading.Event().wait(0.001)
    journal.until(
        lambda found: (
            {b.frame.frame_no for b in found} >= {39} and len([b for b in found if b.frame.frame_no == 39]) == 3
        )
    )
    assert worst == 1
    for name in "abc":
        numbers = [b.frame.frame_no for b in journal.batches if b.frame.camera == name]
        assert numbers == sorted(set(numbers))


def test_pipelines_share_a_detection_each_at_its_own_rate(start: Any, journal: Journal, short_tmp: Path) -> None:
    camera = Camera(short_tmp)
    runs = []
    loop = start([plan(pipeline="fast", fps=5), plan(pipeline="slow", fps=1)], Slow(lambda _: runs.append(1)))
    attached(loop)
    for number in range(15):
        camera.show(picture(64, 64))
        journal.until(lambda found, n=number: len([b for b in found if b.pipeline == "app/fast"]) > n)  # type: ignore[misc]
    assert len(runs) == 15
    wait(lambda: loop.figures()["cam"].analysed == 15)
    assert [b.frame.frame_no for b in journal.batches if b.pipeline == "app/slow"] == [0, 5, 10]


def test_labels_are_kept_per_pipeline(start: Any, journal: Journal, short_tmp: Path) -> None:
    camera = Camera(short_tmp)
    loop = start([plan(pipeline="all"), plan(pipeline="others", labels=("other",))])
    attached(loop)
    camera.show(picture(64, 64, (10, 10, 40, 40)))
    found = {b.pipeline: b.labels for b in journal.until(lambda batches: len(batches) == 2)}
    assert found == {"app/all": ("thing",), "app/others": ()}


def test_a_replaced_capture_process_is_found_again(start: Any, journal: Journal, short_tmp: Path) -> None:
    loop = start([plan()])
    wait(lambda: "V205" in loop.figures()["cam"].error)
    first = Camera(short_tmp, epoch="e1")
    attached(loop)
    first.show(picture(64, 64))
    journal.until(lambda found: len(found) == 1)
    first.store.close()
    wait(lambda: not loop.figures()["cam"].attached)
    second = Camera(short_tmp, epoch="e2")
    second.show(picture(64, 64), t_s=100.0, gap_reason="STALLED: no packet for 2.0 s")
    started_s = time.monotonic()
    batches = journal.until(lambda found: len(found) == 2)
    assert time.monotonic() - started_s < 1.0
    assert batches[1].frame.epoch == "e2"
    assert batches[1].frame.gap_reason.startswith("STALLED")


def test_size_changes_go_through(start: Any, journal: Journal, short_tmp: Path) -> None:
    camera = Camera(short_tmp)
    loop = start([plan()])
    attached(loop)
    for number, (w, h) in enumerate([(64, 64), (128, 64), (64, 64), (320, 200)]):
        camera.show(picture(w, h, (10, 10, 40, 40)))
        journal.until(lambda found, n=number: len(found) > n)  # type: ignore[misc]
    assert [b.frame.width for b in journal.batches] == [64, 128, 64, 320]


def test_cameras_and_pipelines_come_and_go_without_a_break(start: Any, journal: Journal, short_tmp: Path) -> None:
    a, b = Camera(short_tmp, "a"), Camera(short_tmp, "b")
    loop = start([plan("a")])
    attached(loop, "a")
    bright = picture(64, 64, (10, 10, 40, 40))
    a.show(bright)
    journal.until(lambda found: len(found) == 1)
    loop.set_pipelines([plan("a"), plan("a", "second"), plan("b")])
    attached(loop, "a", "b")
    a.show(bright)
    b.show(bright)
    batches = journal.until(lambda found: len(found) == 4)
    assert {(x.frame.camera, x.pipeline) for x in batches[1:]} == {("a", "app/p"), ("a", "app/second"), ("b", "app/p")}
    assert all(x.track_ids == (1,) for x in batches), "the tracker of the pipeline that stayed was kept"
    loop.set_pipelines([plan("b")])
    assert list(loop.figures()) == ["b"]
    a.show(bright)
    b.show(bright)
    assert journal.until(lambda found: len(found) == 5)[4].frame.camera == "b"
    wait(lambda: a.store.stats.readers == 0)


def test_unusable_values_cost_the_picture_and_in_the_end_the_model(
    start: Any, journal: Journal, short_tmp: Path
) -> None:
    camera = Camera(short_tmp)
    model = Model(family=ModelFamily.YOLOX, file="tiny.onnx", labels=LABELS)
    loop = start([plan()], OnnxDetector(models.bright_rectangle(fault=models.nan_when_bright), model))
    attached(loop)
    white, black = picture(64, 64, (0, 0, 64, 64)), picture(64, 64)
    camera.show(white)
    wait(lambda: loop.figures()["cam"].invalid == 1)
    assert "V304" in loop.figures()["cam"].error
    camera.show(black)
    batch = journal.until(lambda found: len(found) == 1)[0]
    assert batch.frame.frame_no == 1
    assert "V304" in batch.frame.gap_reason, "the gap is explained"
    deadline_s = time.monotonic() + 10
    while loop.failure is None and time.monotonic() < deadline_s:
        camera.show(white)
        threading.Event().wait(0.05)
    assert isinstance(loop.failure, ModelError)
    assert loop.failure.code == "V304"
    assert len(journal.batches) == 1


def test_an_analysis_that_hangs_is_noticed(journal: Journal, short_tmp: Path) -> None:
    camera = Camera(short_tmp)
    now_s = [100.0]
    entered, go = threading.Event(), threading.Event()

    def act(_: Pixels) -> None:
        entered.set()
        assert go.wait(20)

    detector = Slow(act)
    loop = DetectLoop(
        Looker(detector),
        journal,
        lambda name: FrameStoreClient(short_tmp / f"{name}.sock"),
        lambda plan: PipelineTracker(plan, LABELS),
        threads=1,
        usual_run_s=0.3,
        monotonic=lambda: now_s[0],
    )
    loop.set_pipelines([plan()])
    loop.start()
    attached(loop)
    assert loop.stalled() == ""
    camera.show(picture(64, 64))
    assert entered.wait(10)
    now_s[0] += 5.9  # 20 times the usual 0.3 s
    assert loop.stalled() == ""
    now_s[0] += 0.2
    assert "cam" in loop.stalled()
    assert not loop.close(0.1)
    go.set()
    wait(lambda: loop.close(5))


def test_a_torn_picture_is_thrown_away(start: Any, journal: Journal, short_tmp: Path) -> None:
    store_s = [1000.0]
    store = FrameStoreWriter(short_tmp / "cam.sock", "cam", lease_s=0.0, clock=lambda: store_s[0])
    loop = start([plan()])
    attached(loop)
    store.publish(FrameInfo("cam", "e", 0, 0.0, 0.0, 0.0, 64, 64), picture(64, 64, (10, 10, 40, 40)))
    wait(lambda: loop.figures()["cam"].torn == 1)
    assert journal.batches == []


def test_an_unforeseen_failure_is_not_swallowed(start: Any, journal: Journal, short_tmp: Path) -> None:
    camera = Camera(short_tmp)

    def act(_: Pixels) -> None:
        raise ZeroDivisionError

    loop = start([plan()], Slow(act))
    attached(loop)
    camera.show(picture(64, 64))
    wait(lambda: isinstance(loop.failure, ZeroDivisionError))


def test_a_camera_whose_socket_cannot_be_named_keeps_no_other_from_being_connected(
    start: Any, journal: Journal, short_tmp: Path
) -> None:
    def reader(name: str) -> FrameStoreClient:
        return FrameStoreClient(short_tmp / f"{name * (100 if name == 'c' else 1)}.sock")

    loop = start([])
    loop._open_reader = reader
    loop.set_pipelines([plan("c"), plan()])
    wait(lambda: "V401" in loop.figures()["c"].error)
    camera = Camera(short_tmp)
    attached(loop)
    camera.show(picture(64, 64))
    journal.until(lambda found: len(found) == 1)


def test_where_connecting_fails_the_loop_says_so(start: Any) -> None:
    loop = start([])
    loop._open_reader = lambda _: 1 / 0
    loop.set_pipelines([plan()])
    wait(lambda: isinstance(loop.failure, ZeroDivisionError))


def test_pipelines_that_change_while_a_camera_is_connected() -> None:
    rates: list[float] = []
    analysis: CameraAnalysis

    def make(pipeline: PipelinePlan) -> PipelineTracker:
        if pipeline.pipeline == "q":
            rates.append(analysis.fps)  # as the thread that connects asks for it meanwhile
        return PipelineTracker(pipeline, LABELS)

    analysis = CameraAnalysis([plan(fps=3)], make)
    analysis.set_pipelines([plan(pipeline="q", fps=5)])
    assert (rates, analysis.fps) == ([3.0], 5.0)


def test_busy_workers_are_shared_by_the_rates_asked_for(start: Any, journal: Journal, short_tmp: Path) -> None:
    """One worker, two cameras that always have a picture, rates 3 to 1."""
    cameras = {name: Camera(short_tmp, name) for name in ("often", "seldom")}
    loop = start(
        [plan("often", fps=900), plan("seldom", fps=300)],
        Slow(lambda _: time.sleep(0.004)),  # the work itself, not a way of waiting for something
        threads=1,
    )
    attached(loop, *cameras)
    frame = picture(32, 32)
    stop = threading.Event()

    def shoot(camera: Camera) -> None:
        while not stop.is_set():
            camera.show(frame)
            stop.wait(0.0005)

    threads = [threading.Thread(target=shoot, args=(camera,)) for camera in cameras.values()]
    for thread in threads:
        thread.start()
    batches = journal.until(lambda found: len(found) >= 200, 20)
    stop.set()
    for thread in threads:
        thread.join(5)
    often = sum(b.frame.camera == "often" for b in batches)
    assert 0.4 * len(batches) <= often <= 0.85 * len(batches)
    assert len(batches) - often >= 0.15 * len(batches)
