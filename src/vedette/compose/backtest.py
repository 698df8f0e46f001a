"""A recording through the same stages as live pictures, as fast as the machine can, with the same result every time.

Decoding runs ahead in one thread, pictures are analysed by as many threads as there are cores, and their results are
tracked and judged in the order of the pictures. Nothing depends on how the threads take turns.
"""

from __future__ import annotations

import heapq
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.engines.onnx import load_detector
from vedette.adapters.hooks.code_files import code_digests
from vedette.adapters.models.store import ModelStore
from vedette.compose.attribute_models import AttributeModels
from vedette.compose.backtest_hooks import BacktestHooks
from vedette.compose.backtest_panorama import BacktestPanorama, drawn_pipelines
from vedette.compose.built_in import built_in_detector
from vedette.compose.panorama_host import interpreter
from vedette.contracts.alert import Alert
from vedette.contracts.camera import CameraConfig
from vedette.contracts.frames import FrameInfo
from vedette.contracts.insight import InsightReport
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import AttachedApplication, ModelPlan, PipelinePlan, Plan
from vedette.contracts.tracks import TrackBatch
from vedette.core.detections import Detections
from vedette.core.insights.book import InsightBook
from vedette.core.judge import Judge, NotAnalysed
from vedette.core.pixels import Pixels
from vedette.core.plan import make_plan
from vedette.core.sampling import Sampler
from vedette.core.url_policy import camera_policy, check_url
from vedette.core.views import View
from vedette.pipeline.camera import CameraAnalysis, Question
from vedette.pipeline.look import Looker
from vedette.pipeline.track import PipelineTracker
from vedette.ports.detector import Detector, SequenceDetector

DEVICE: Final = "backtest"


@dataclass(slots=True)
class BacktestReport:
    """What a backtest did, besides its alerts.

    Attributes:
        pictures: pictures decoded and chosen, by camera.
        media_s: seconds of footage, by camera.
        not_analysed: stretches without analysis and why.
        problems: bindings without a camera, damaged recordings and the like.
        hook_problems: calls of hooks that failed.
    """

    pictures: dict[str, int] = field(default_factory=dict)
    media_s: dict[str, float] = field(default_factory=dict)
    not_analysed: list[NotAnalysed] = field(default_factory=list)
    problems: tuple[str, ...] = ()
    hook_problems: tuple[str, ...] = ()


class Backtest:
    """One application on recordings.

    Args:
        manifest: the application, model files absolute.
        directory: the manifest's directory.
        cameras: the recordings, as cameras.
        bindings: the application's camera → the recordings.
        start: time of the first picture where the file does not say its own.
        threads: analyses at the same time; 0 is the number of cores.
        trust_code: whether code runs that cannot be confined here.
        python: interpreter of Panorama code; where None the application's own, or this one.

    Raises:
        ModelError: a model is missing, refused or does not fit.
        ConfigurationError: V101, files of an application with hooks cannot be read.
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
        trust_code: bool = False,
        python: Path | None = None,
    ) -> None:
        code = code_digests(directory) if manifest.hooks else {}
        application = AttachedApplication(manifest=manifest, directory=str(directory), bindings=bindings, code=code)
        self._trust_code = trust_code
        self._python = interpreter(str(python or ""), directory)
        self.plan: Plan = make_plan([application], cameras)
        self.report = BacktestReport(problems=self.plan.problems)
        self._cameras = {camera.name: camera for camera in cameras}
        self._start = start
        self._reported: Callable[[InsightReport], None] = lambda _: None
        self._threads = threads or os.cpu_count() or 1
        self._detectors = {model.key: _load(model) for model in self.plan.models}
        self._attributes = AttributeModels(ModelStore.default())
        self._load_attributes()

    def alerts(
        self,
        progress: Callable[[str, float], None] | None = None,
        reported: Callable[[InsightReport], None] = lambda _: None,
    ) -> Iterator[Alert]:
        """Alerts, camera by camera, in the order of their pictures; with hooks, all cameras in the order of time.

        Args:
            progress: called with the camera and the seconds of footage done.
            reported: called with each report of insights, the one of the last, unfinished interval included.

        Raises:
            HookError: V801 or V805, a hook cannot be loaded, or not be confined here.
        """
        self._reported = reported
        cameras = [self._camera_steps(stream.camera, stream.fps, progress) for stream in self.plan.streams]
        if not self.plan.hooks and not self.plan.panorama:
            for step in chain.from_iterable(cameras):
                yield from step.alerts
            return
        with ExitStack() as stack:
            hooks = stack.enter_context(BacktestHooks(self.plan.hooks, DEVICE, trust=self._trust_code))
            codes = [
                stack.enter_context(BacktestPanorama(plan, python=self._python, trust=self._trust_code))
                for plan in self.plan.panorama
            ]
            judge, insights = self._of_drawings()
            # Code may bring several cameras together, so it sees them as they were: side by side.
            last: _Step | None = None
            for last in heapq.merge(*cameras, key=lambda step: (step.info.wall_s, step.info.camera)):
                yield from last.alerts
                drawn = [batch for code in codes for batch in code.step(last.info, last.pixels)]
                yield from self._judged(judge, insights, drawn)
                yield from hooks.step(last.info, last.pixels, [*last.batches, *drawn])
            drawn = [batch for code in codes for batch in code.finish()]
            yield from self._judged(judge, insights, drawn)
            if last is not None and drawn:
                yield from hooks.step(last.info, last.pixels, drawn)
            for new in insights.finish():
                self._reported(new.report)
        self.report.hook_problems = tuple(hooks.problems)

    def _of_drawings(self) -> tuple[Judge, InsightBook]:
        """What rules and insights make of pictures that the code of an application has put."""
        drawn = drawn_pipelines(self.plan.panorama)
        return (
            Judge(DEVICE, [rule for rule in self.plan.rules if rule.pipeline in drawn]),
            InsightBook(DEVICE, [plan for plan in self.plan.insights if plan.pipeline in drawn]),
        )

    def _camera_steps(self, camera: str, fps: float, progress: Callable[[str, float], None] | None) -> Iterator[_Step]:
        drawn = drawn_pipelines(self.plan.panorama)
        rules = [rule for rule in self.plan.rules if rule.camera == camera and rule.pipeline not in drawn]
        counted = [plan for plan in self.plan.insights if plan.camera == camera and plan.pipeline not in drawn]
        judge, insights = Judge(DEVICE, rules), InsightBook(DEVICE, counted)
        stages = [
            _ModelStage(model, plans, self._detectors[model.key], self._attributes)
            for model in self.plan.models
            if (plans := [plan for plan in model.pipelines if plan.camera == camera])
        ]
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
                    works = [work for stage in stages if (work := stage.begin(info, copy, pool))]
                    waiting.append(_Analysis(info, copy, works))
                    count, last_s = count + 1, info.media_time_s
                    if len(waiting) > 2 * self._threads:
                        yield self._judge(judge, insights, waiting.popleft())
                    if progress is not None:
                        progress(camera, info.media_time_s)
                while waiting:
                    yield self._judge(judge, insights, waiting.popleft())
            finally:
                for analysis in waiting:
                    for work in analysis.works:
                        work.cancel()
                source.close()
        for new in insights.finish():
            self._reported(new.report)
        self.report.pictures[camera] = count
        self.report.media_s[camera] = last_s
        self._note_damage(camera, source.progress.corrupt, source.progress.packets)

    def _load_attributes(self) -> None:
        pipelines = [plan for model in self.plan.models for plan in model.pipelines]
        while not self._attributes.prepare(pipelines):
            self._attributes.wait()
        if self._attributes.problem is not None:
            raise self._attributes.problem

    def _note_damage(self, camera: str, damaged: int, total: int) -> None:
        """Alerts that are missing because the recording is damaged must not look like alerts that never were."""
        if damaged:
            self.report.problems += (
                f"{camera}: {damaged} of {total} pictures of the recording are damaged or build on damaged ones; "
                "they were not analysed.",
            )
        elif not self.report.pictures[camera]:
            self.report.problems += (f"{camera}: the recording holds no picture that can be decoded.",)

    def _judge(self, judge: Judge, insights: InsightBook, analysis: _Analysis) -> _Step:
        batches = [batch for work in analysis.works for batch in work.stage.end(work, analysis.pixels)]
        return _Step(analysis.info, analysis.pixels, batches, self._judged(judge, insights, batches))

    def _judged(self, judge: Judge, insights: InsightBook, batches: Sequence[TrackBatch]) -> list[Alert]:
        alerts: list[Alert] = []
        for batch in batches:
            alerts += [verdict.alert for verdict in judge.judge(batch)]
            for new in insights.take(batch):
                self._reported(new.report)
        self.report.not_analysed += judge.take_not_analysed()
        return alerts


def _no_names(host: str) -> list[str]:
    """A recording is a file: there is no name to look up."""
    raise OSError(f"{host} is not looked up in a backtest")


def _load(plan: ModelPlan) -> Detector | SequenceDetector:
    if plan.model.built_in:
        return built_in_detector(plan.model)
    return load_detector(plan.model, Path(plan.file))


@dataclass(frozen=True, slots=True)
class _Work:
    """One model's share of one picture: what was asked, and the answers that are being worked out."""

    stage: _ModelStage
    question: Question
    found: dict[View, Future[Detections]]

    def cancel(self) -> None:
        for future in self.found.values():
            future.cancel()


@dataclass(frozen=True, slots=True)
class _Analysis:
    """One picture, with copied pixels."""

    info: FrameInfo
    pixels: Pixels
    works: list[_Work]


@dataclass(frozen=True, slots=True)
class _Step:
    """One picture, what was seen in it, and what the rules made of that."""

    info: FrameInfo
    pixels: Pixels
    batches: list[TrackBatch]
    alerts: list[Alert]


def _done(
    look: Callable[[Pixels, View, float], Detections], pixels: Pixels, view: View, t_s: float
) -> Future[Detections]:
    """A look that is worked out here and now: a detector that compares pictures wants them in their order."""
    result: Future[Detections] = Future()
    result.set_result(look(pixels, view, t_s))
    return result


class _ModelStage:
    """One model on one camera: the same stages as live."""

    def __init__(
        self,
        model: ModelPlan,
        plans: Sequence[PipelinePlan],
        detector: Detector | SequenceDetector,
        attributes: AttributeModels,
    ) -> None:
        looker = Looker(detector, nms_iou=model.model.nms_iou, class_agnostic=model.model.class_agnostic_nms)
        self._looker = looker.for_camera()
        self._analysis = CameraAnalysis(plans, lambda plan: PipelineTracker(plan, detector.labels), attributes.look)
        # The decoder serves the fastest model of the camera; live, a reader is woken at its own rate.
        self._sampler = Sampler(self._analysis.fps)

    def begin(self, info: FrameInfo, pixels: Pixels, pool: ThreadPoolExecutor) -> _Work | None:
        """Start what must be worked out of a picture; None where the model does not want it."""
        if not self._sampler.wants(info.t_s):
            return None
        question = self._analysis.ask(info, pixels)
        start = _done if self._looker.in_order else pool.submit
        found = {view: start(self._looker.look, pixels, view, info.t_s) for view in question.views}
        return _Work(self, question, found)

    def end(self, work: _Work, pixels: Pixels) -> list[TrackBatch]:
        """The batches of a picture, in the order of the pictures."""
        return self._analysis.answer(work.question, {view: f.result() for view, f in work.found.items()}, pixels)
