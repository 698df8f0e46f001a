"""One camera in the detection loop: its pipelines, what is known of its last picture, its figures."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Protocol

from vedette.contracts.frames import FrameInfo
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import Attribute, TrackBatch
from vedette.core.detections import Detections
from vedette.core.motion_gate import MotionGate, Thumbnail, thumbnail
from vedette.core.pixels import Pixels
from vedette.core.sampling import Sampler
from vedette.core.views import View
from vedette.pipeline.attributes import AttributeLook

#: Analyses that the figures are about.
_WINDOW: Final = 256
#: Share of an interval by which pictures may be apart more than asked for without one having been missed.
_LATE_SHARE: Final = 0.6
#: Time over which the analysed rate is taken, seconds.
_RATE_S: Final = 5.0


class BatchTracker(Protocol):
    """Turns the objects of one picture into a track batch; ``vedette.pipeline.track.PipelineTracker``."""

    def track(self, frame: FrameInfo, detections: Detections) -> TrackBatch:
        """Follow the objects of one picture."""
        ...


@dataclass(frozen=True, slots=True)
class CameraFigures:
    """How the analysis of one camera goes.

    Attributes:
        attached: whether its frame store is connected.
        analysed: pictures analysed since the loop began.
        fps: pictures analysed a second, over the last five seconds.
        spared: pictures among them in which nothing had moved, so that the model was not run.
        dropped: pictures that were due and came to nothing: too slow, torn or invalid.
        torn: leases that had timed out when the analysis ended.
        invalid: pictures for which the model returned nothing usable.
        inference_p50_ms: median time of one analysis, milliseconds.
        inference_p99_ms: the same, 99th percentile.
        age_p50_ms: median age of a picture when its batch was handed to the journal, milliseconds.
        age_p99_ms: the same, 99th percentile.
        error: the last thing that went wrong; empty again after the next good picture.
    """

    attached: bool = False
    analysed: int = 0
    fps: float = 0.0
    spared: int = 0
    dropped: int = 0
    torn: int = 0
    invalid: int = 0
    inference_p50_ms: float = 0.0
    inference_p99_ms: float = 0.0
    age_p50_ms: float = 0.0
    age_p99_ms: float = 0.0
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """For a status message."""
        return {name: round(v, 1) if isinstance(v, float) else v for name, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Question:
    """What must be known of one picture.

    Attributes:
        info: the picture.
        pipelines: keys of the pipelines that want it.
        views: what of it must be analysed; the rest is as it was.
    """

    info: FrameInfo
    pipelines: tuple[str, ...]
    views: tuple[View, ...]


def camera_fps(pipelines: Sequence[PipelinePlan]) -> float:
    """Pictures a second that the most demanding pipeline of a camera wants.

    Candidates are not asked where an application is served as well: it gets the pictures that it would get alone.
    """
    return max(plan.fps for plan in [plan for plan in pipelines if not plan.candidate] or pipelines)


class CameraAnalysis:
    """The pipelines of one camera: one detection serves all that look alike. Used by one thread at a time.

    A picture is asked about first (``ask``: which views of it must be analysed), then answered (``answer``: track
    batches from what was found). In between, the caller runs the model as it likes; answers come in the order of the
    questions.

    Args:
        pipelines: of one and the same camera.
        make_tracker: makes a pipeline's tracker, going on where the journal ends.
        make_attributes: makes what looks at a pipeline's objects more closely; None where it has nothing to ask.

    Attributes:
        last: the last picture asked about.
    """

    def __init__(
        self,
        pipelines: Sequence[PipelinePlan],
        make_tracker: Callable[[PipelinePlan], BatchTracker],
        make_attributes: Callable[[PipelinePlan], AttributeLook | None] = lambda _: None,
    ) -> None:
        self._make_tracker = make_tracker
        self._make_attributes = make_attributes
        self._stages: dict[str, _Stage] = {}
        self._seen: dict[View, _Seen] = {}
        self._epoch = ""
        self._last_s = -math.inf
        self._last_no = -1
        self.last: FrameInfo | None = None
        self.set_pipelines(pipelines)

    @property
    def fps(self) -> float:
        """Pictures a second that are taken."""
        return camera_fps([stage.plan for stage in self._stages.values()])

    @property
    def problem(self) -> str:
        """What keeps objects from being looked at more closely; empty where nothing does."""
        return next((s.attributes.problem for s in self._stages.values() if s.attributes and s.attributes.problem), "")

    @property
    def needs_pixels(self) -> bool:
        """Whether the picture is needed after it was analysed, to look at its objects more closely."""
        return any(stage.attributes is not None for stage in self._stages.values())

    def set_pipelines(self, pipelines: Sequence[PipelinePlan]) -> None:
        """Replace the pipelines; one that has not changed keeps its tracker, and its attributes are made anew."""
        before, stages = self._stages, dict[str, _Stage]()
        for plan in pipelines:
            old = before.get(plan.key)
            if old is None or old.plan != plan:
                tracker = self._make_tracker(plan) if old is None or not _same_objects(old.plan, plan) else old.tracker
                gate = MotionGate(plan.motion, plan.region, plan.masks) if plan.motion is not None else None
                reason = "" if old is None else old.gap_reason
                old = _Stage(plan, tracker, Sampler(plan.fps), gate, _view(plan), gap_reason=reason)
            old.attributes = self._make_attributes(plan)
            stages[plan.key] = old
        self._stages = stages  # at once: who connects to the camera asks for its rate meanwhile
        views = {stage.view for stage in stages.values()}
        self._seen = {view: self._seen.get(view, _Seen()) for view in views}

    def note_gap(self, reason: str) -> None:
        """Remember why pictures are missing; the next batch carries it. A reason that is known already stays."""
        for stage in self._stages.values():
            stage.gap_reason = stage.gap_reason or reason

    def accepts(self, info: FrameInfo) -> bool:
        """Whether a picture is newer than the last one; an older one is never analysed after it."""
        return info.epoch != self._epoch or info.t_s > self._last_s

    def missed_before(self, info: FrameInfo) -> int:
        """Pictures of the same epoch that were due between the last one and this one."""
        if info.epoch != self._epoch:
            return 0
        # A picture may come late by some part of an interval; and a camera that sends fewer pictures misses none.
        due = int((info.t_s - self._last_s) * self.fps - _LATE_SHARE)
        return max(0, min(due, info.frame_no - self._last_no - 1))

    def ask(self, info: FrameInfo, pixels: Pixels) -> Question:
        """Note a picture and say what of it must be analysed."""
        if info.epoch != self._epoch:
            for stage in self._stages.values():
                stage.sampler = Sampler(stage.plan.fps)
            self._seen = {view: _Seen() for view in self._seen}
        self._epoch, self._last_s, self._last_no = info.epoch, info.t_s, info.frame_no
        self.last = info
        if info.gap_reason:
            self.note_gap(info.gap_reason)
        fps = self.fps
        # The fastest pipeline takes every picture: the reader was armed at its rate.
        due = [s for s in self._stages.values() if s.plan.fps >= fps or s.sampler.wants(info.t_s)]
        small = thumbnail(pixels.y) if any(stage.gate is not None for stage in due) else None
        views: list[View] = []
        for view in dict.fromkeys(stage.view for stage in due):
            seen = self._seen[view]
            since_s = info.t_s - seen.analysed_s
            for stage in due:
                if stage.view == view and (
                    stage.gate is None or small is None or stage.gate.moved(small, seen.small, since_s)
                ):
                    views.append(view)
                    seen.small, seen.analysed_s = small, info.t_s
                    break
        return Question(info, tuple(stage.plan.key for stage in due), tuple(views))

    def fail(self, question: Question, reason: str) -> None:
        """Nothing came of a picture; the next one is analysed whatever moves."""
        self.note_gap(reason)
        for view in question.views:
            if view in self._seen:
                self._seen[view] = _Seen()

    def answer(self, question: Question, found: Mapping[View, Detections], pixels: Pixels | None) -> list[TrackBatch]:
        """A batch for each pipeline that wanted the picture.

        Args:
            question: as ``ask`` put it.
            found: objects of each of its views, pixels of the original picture.
            pixels: the picture, to look at objects more closely; None where it is not to be had any more.
        """
        batches = []
        for view, detections in found.items():
            if view in self._seen:
                # What was read is said once: a picture that was spared reads nothing.
                self._seen[view].detections = replace(detections, texts=None)
        for key in question.pipelines:
            stage = self._stages.get(key)
            if stage is None:  # taken away meanwhile
                continue
            fresh = stage.view in found
            detections = found[stage.view] if fresh else self._seen[stage.view].detections
            reason, stage.gap_reason = stage.gap_reason, ""
            batch = stage.tracker.track(replace(question.info, gap_reason=reason), detections)
            if not fresh:
                batch = replace(batch, spared=True)
            if fresh and stage.attributes is not None and pixels is not None and batch.track_ids:
                batch = _with_attributes(batch, stage.attributes.look(pixels, batch))
            batches.append(batch)
        return batches


class Figures:
    """Collects what ``CameraFigures`` shows."""

    def __init__(self) -> None:
        self.analysed = self.spared = self.missed = self.torn = self.invalid = 0
        self.error = ""
        self._ended_s: deque[float] = deque(maxlen=_WINDOW)
        self._run_s: deque[float] = deque(maxlen=_WINDOW)
        self._age_s: deque[float] = deque(maxlen=_WINDOW)

    def add(self, now_s: float, run_s: float | None, age_s: float) -> None:
        """Count one good analysis; ``run_s`` is None where the model was spared."""
        self.analysed += 1
        self.error = ""
        self._ended_s.append(now_s)
        if run_s is None:
            self.spared += 1
        else:
            self._run_s.append(run_s)
        self._age_s.append(age_s)

    @property
    def median_run_s(self) -> float:
        """Median time of one analysis, seconds; 0 where there was none."""
        return _quantile(self._run_s, 0.5)

    def snapshot(self, now_s: float, attached: bool) -> CameraFigures:
        """The figures as they are."""
        recent = [t for t in self._ended_s if now_s - t <= _RATE_S]
        # A window that is full before five seconds are over spans less.
        span_s = min(_RATE_S, now_s - recent[0]) if len(recent) == _WINDOW else _RATE_S
        return CameraFigures(
            attached,
            self.analysed,
            len(recent) / span_s if span_s > 0 else 0.0,
            self.spared,
            self.missed,
            self.torn,
            self.invalid,
            1000 * self.median_run_s,
            1000 * _quantile(self._run_s, 0.99),
            1000 * _quantile(self._age_s, 0.5),
            1000 * _quantile(self._age_s, 0.99),
            self.error,
        )


@dataclass(slots=True)
class _Stage:
    """One pipeline."""

    plan: PipelinePlan
    tracker: BatchTracker
    sampler: Sampler
    gate: MotionGate | None
    view: View
    attributes: AttributeLook | None = None
    gap_reason: str = ""


@dataclass(slots=True)
class _Seen:
    """What is known of one view: its objects and thumbnail at the last analysis."""

    detections: Detections = field(default_factory=Detections.empty)
    small: Thumbnail | None = None
    analysed_s: float = -math.inf


def _view(plan: PipelinePlan) -> View:
    return View(plan.region, plan.masks, plan.tiles)


def _same_objects(old: PipelinePlan, new: PipelinePlan) -> bool:
    """Whether a tracker can go on with what the changed pipeline sees."""
    return (old.labels, old.tracker) == (new.labels, new.tracker)


def _with_attributes(batch: TrackBatch, found: tuple[tuple[Attribute, ...], ...]) -> TrackBatch:
    if not any(found):
        return batch
    before = batch.attributes or ((),) * len(batch.track_ids)
    return replace(batch, attributes=tuple(a + b for a, b in zip(before, found, strict=True)))


def _quantile(values: deque[float], share: float) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
