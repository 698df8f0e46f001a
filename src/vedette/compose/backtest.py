"""A recording through the same stages as live pictures, as fast as the machine can, with the same result every time.

Decoding runs ahead in one thread, pictures are analysed by as many threads as there are cores, and their results are
tracked and judged in the order of the pictures. Nothing depends on how the threads take turns.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.engines.onnx import load_detector
from vedette.contracts.alert import Alert
from vedette.contracts.camera import CameraConfig
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import AttachedApplication, ModelPlan, Plan
from vedette.contracts.tracks import TrackBatch
from vedette.core.detections import Detections
from vedette.core.judge import Judge, NotAnalysed
from vedette.core.pixels import Pixels
from vedette.core.plan import make_plan
from vedette.core.sampling import Sampler
from vedette.core.url_policy import camera_policy, check_url
from vedette.pipeline.track import PipelineTracker
from vedette.ports.detector import Detector

DEVICE: Final = "backtest"


@dataclass(slots=True)
class BacktestReport:
    """What a backtest did, besides its alerts.

    Attributes:
        pictures: pictures decoded and chosen, by camera.
        media_s: seconds of footage, by camera.
        not_analysed: stretches without analysis and why.
        problems: bindings without a camera, damaged recordings and the like.
    """

    pictures: dict[str, int] = field(default_factory=dict)
    media_s: dict[str, float] = field(default_factory=dict)
    not_analysed: list[NotAnalysed] = field(default_factory=list)
    problems: tuple[str, ...] = ()


class Backtest:
    """One application on recordings.

    Args:
        manifest: the application, model files absolute.
        directory: the manifest's directory.
        cameras: the recordings, as cameras.
        bindings: the application's camera → the recordings.
        start: time of the first picture where the file does not say its own.
        threads: analyses at the same time; 0 is the number of cores.

    Raises:
        ModelError: a model is missing, refused or does not fit.
    """

    def __init__(
        self,
        manifest: Manifest,
        directory: Path,
        cameras: Sequence[CameraConfig],
        bindings: dict[str, tuple[str, ...]],
        *,
        start: datetime | None = None,
        threads: int = 0,
    ) -> None:
        application = AttachedApplication(manifest=manifest, directory=str(directory), bindings=bindings)
        self.plan: Plan = make_plan([application], cameras)
        self.report = BacktestReport(problems=self.plan.problems)
        self._cameras = {camera.name: camera for camera in cameras}
        self._start = start
        self._threads = threads or os.cpu_count() or 1
        self._detectors: dict[str, Detector] = {
            model.key: load_detector(model.model, Path(model.file)) for model in self.plan.models
        }

    def alerts(self, progress: Callable[[str, float], None] | None = None) -> Iterator[Alert]:
        """Alerts, camera by camera, in the order of their pictures.

        Args:
            progress: called with the camera and the seconds of footage done.
        """
        for stream in self.plan.streams:
            yield from self._camera_alerts(stream.camera, stream.fps, progress)

    def _camera_alerts(self, camera: str, fps: float, progress: Callable[[str, float], None] | None) -> Iterator[Alert]:
        judge = Judge(DEVICE, [rule for rule in self.plan.rules if rule.camera == camera])
        stages = [_ModelStage(model, camera, self._detectors[model.key]) for model in self.plan.models]
        stages = [stage for stage in stages if stage.trackers]
        address = check_url(self._cameras[camera].url, camera_policy(), _no_names)
        source = PyAvSource(
            address,
            camera=camera,
            fps=fps,
            realtime=False,
            wall_start_s=self._start.timestamp() if self._start else 0.0,
        )
        count, last_s = 0, 0.0
        with ThreadPoolExecutor(self._threads, thread_name_prefix="analyse") as pool:
            waiting: deque[_Analysis] = deque()
            try:
                for info, pixels in source:
                    # The source reuses its buffer; the copy is what lets it run ahead.
                    copy = Pixels(pixels.y.copy(), pixels.u.copy(), pixels.v.copy(), pixels.full_range)
                    waiting.append(_Analysis(info, [pool.submit(stage.detector.detect, copy) for stage in stages]))
                    count, last_s = count + 1, info.media_time_s
                    if len(waiting) > 2 * self._threads:
                        yield from self._judge(judge, stages, waiting.popleft())
                    if progress is not None:
                        progress(camera, info.media_time_s)
                while waiting:
                    yield from self._judge(judge, stages, waiting.popleft())
            finally:
                for analysis in waiting:
                    for future in analysis.detections:
                        future.cancel()
                source.close()
        self.report.pictures[camera] = count
        self.report.media_s[camera] = last_s
        self._note_damage(camera, source.progress.corrupt, source.progress.packets)

    def _note_damage(self, camera: str, damaged: int, total: int) -> None:
        """Alerts that are missing because the recording is damaged must not look like alerts that never were."""
        if damaged:
            self.report.problems += (
                f"{camera}: {damaged} of {total} pictures of the recording are damaged or build on damaged ones; "
                "they were not analysed.",
            )
        elif not self.report.pictures[camera]:
            self.report.problems += (f"{camera}: the recording holds no picture that can be decoded.",)

    def _judge(self, judge: Judge, stages: Sequence[_ModelStage], analysis: _Analysis) -> Iterator[Alert]:
        for stage, future in zip(stages, analysis.detections, strict=True):
            for batch in stage.track(analysis.info, future.result()):
                for verdict in judge.judge(batch):
                    yield verdict.alert
        self.report.not_analysed += judge.take_not_analysed()


def _no_names(host: str) -> list[str]:
    """A recording is a file: there is no name to look up."""
    raise OSError(f"{host} is not looked up in a backtest")


@dataclass(frozen=True, slots=True)
class _Analysis:
    info: FrameInfo
    detections: list[Future[Detections]]


class _ModelStage:
    """One model's detector on one camera and the trackers of the pipelines it serves there."""

    def __init__(self, model: ModelPlan, camera: str, detector: Detector) -> None:
        self.detector = detector
        self.trackers = [
            (Sampler(plan.fps), PipelineTracker(plan, detector.labels))
            for plan in model.pipelines
            if plan.camera == camera
        ]

    def track(self, info: FrameInfo, detections: Detections) -> Iterator[TrackBatch]:
        for sampler, tracker in self.trackers:
            if sampler.wants(info.t_s):
                yield tracker.track(info, detections)
