"""Real people in real footage, as the pipeline sees them, and a meter of faces that looks more closely than it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.onnx import OnnxDetector
from vedette.adapters.evidence.finders import pixels_of
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Model, ModelFamily, Tiles
from vedette.contracts.plan import ModelPlan, PipelinePlan, Plan
from vedette.contracts.tracks import TrackBatch
from vedette.core.pixels import Pixels
from vedette.core.views import View
from vedette.pipeline.track import PipelineTracker

Picture = NDArray[np.uint8]
EPOCH = "footage"
CAMERA = "cam"
FACES = "ultraface_version-RFB-320.onnx"
PEOPLE = "deimv2_hgnetv2_femto_coco.onnx"


@dataclass(frozen=True, slots=True)
class Scene:
    """A clip, which stretch of it, and how many pictures of a second are looked at and shown."""

    video: str
    start_s: float
    end_s: float
    shown_fps: float
    analysed_fps: float = 5.0


SCENES = (
    Scene("one-by-one-person-detection.mp4", 6.0, 10.0, shown_fps=1.0),
    Scene("store-aisle-detection.gif", 0.0, 10.0, shown_fps=4.2),
    Scene("worker-zone-detection.gif", 0.0, 10.0, shown_fps=1.3),
    Scene("Retail02_short.mp4", 0.0, 4.6, shown_fps=2.7),
)


def plan_of() -> Plan:
    """One application that looks for people on the camera."""
    model = Model(family=ModelFamily.DETR, file=PEOPLE, min_confidence=0.3)
    pipeline = PipelinePlan(application="shop", pipeline="people", camera=CAMERA, app_camera="hall", fps=5)
    return Plan(models=(ModelPlan(key="m", file=PEOPLE, model=model, pipelines=(pipeline,)),))


@dataclass(frozen=True, slots=True)
class Footage:
    """A scene as the journal has it, and pictures of it.

    Attributes:
        batches: of the analysed pictures.
        pictures: (seconds, picture), most of them between the analysed ones.
    """

    batches: tuple[TrackBatch, ...]
    pictures: tuple[tuple[float, Picture], ...]


@lru_cache(maxsize=4)
def footage(data: Path, scene: Scene) -> Footage:
    """Detect and track as the real pipeline does."""
    plan = plan_of()
    session = plan.models[0]
    detector = OnnxDetector((data / "models" / PEOPLE).read_bytes(), session.model)
    tracker = PipelineTracker(session.pipelines[0], detector.labels, wall_clock=lambda: 0.0)
    batches: list[TrackBatch] = []
    shown: list[tuple[float, Picture]] = []
    next_analysed_s = next_shown_s = 0.0
    for number, (t, frame) in enumerate(_frames(data / "videos" / scene.video, scene)):
        analysed, wanted = t >= next_analysed_s, t >= next_shown_s
        if not (analysed or wanted):
            continue
        picture = frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
        if analysed:
            next_analysed_s = max(next_analysed_s + 1 / scene.analysed_fps, t)
            info = FrameInfo(CAMERA, EPOCH, number, t, t, 1.75e9 + t, frame.width, frame.height)
            batches.append(tracker.track(info, detector.detect(pixels_of(picture))))
        if wanted:
            next_shown_s = max(next_shown_s + 1 / scene.shown_fps, t)
            shown.append((t, picture))
    return Footage(tuple(batches), tuple(shown))


def _frames(path: Path, scene: Scene) -> Iterator[tuple[float, av.VideoFrame]]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            t = float(frame.time or 0.0)
            if t > scene.end_s:
                return
            if t >= scene.start_s:
                yield t - scene.start_s, frame


class Meter:
    """Looks for faces in the whole picture and in nine parts of it.

    Args:
        data: where the model lies.
    """

    def __init__(self, data: Path) -> None:
        model = Model(family=ModelFamily.ULTRAFACE, file=FACES, labels=("face",), min_confidence=0.7, nms_iou=0.3)
        self._detector = OnnxDetector((data / "models" / FACES).read_bytes(), model)
        self._parts = View(tiles=Tiles(columns=3, rows=3, overlap=0.25))

    def faces(self, picture: Picture) -> NDArray[np.float32]:
        """float32 (n, 4), pixels."""
        pixels = pixels_of(picture)
        found = []
        for part in self._parts.windows(pixels.width, pixels.height):
            window: Pixels = pixels.window(part.x, part.y, part.width, part.height)
            found.append(self._detector.detect(window).boxes + np.array((part.x, part.y) * 2, np.float32))
        return np.concatenate(found)
