"""One camera in the detection loop: its pipelines, what is known of its last picture, its figures."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

from vedette.contracts.frames import FrameInfo
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.detections import Detections
from vedette.core.sampling import Sampler

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


class CameraAnalysis:
    """The pipelines of one camera: one detection serves them all. Used by one thread at a time.

    Args:
        pipelines: of one and the same camera.
        make_tracker: makes a pipeline's tracker, going on where the journal ends.

    Attributes:
        last: the last picture analysed.
    """

    def __init__(self, pipelines: Sequence[PipelinePlan], make_tracker: Callable[[PipelinePlan], BatchTracker]) -> None:
        self._make_tracker = make_tracker
        self._stages: dict[str, _Stage] = {}
        self._epoch = ""
        self._last_s = -math.inf
        self._last_no = -1
        self.last: FrameInfo | None = None
        self.set_pipelines(pipelines)

    @property
    def fps(self) -> float:
        """Pictures a second that the most demanding pipeline wants."""
        return max(stage.plan.fps for stage in self._stages.values())

    def set_pipelines(self, pipelines: Sequence[PipelinePlan]) -> None:
        """Replace the pipelines; one that has not changed keeps its tracker."""
        before = self._stages
        self._stages = {}
        for plan in pipelines:
            old = before.get(plan.key)
            if old is None or old.plan != plan:
                old = _Stage(plan, self._make_tracker(plan), Sampler(plan.fps))
            self._stages[plan.key] = old

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

    def begin(self, info: FrameInfo) -> None:
        """Note the picture that is being analysed."""
        if info.epoch != self._epoch:
            for stage in self._stages.values():
                stage.sampler = Sampler(stage.plan.fps)
        self._epoch, self._last_s, self._last_no = info.epoch, info.t_s, info.frame_no
        self.last = info
        if info.gap_reason:
            self.note_gap(info.gap_reason)

    def batches(self, info: FrameInfo, detections: Detections) -> Iterable[TrackBatch]:
        """A batch for each pipeline that wants this picture."""
        fps = self.fps
        for stage in self._stages.values():
            # The fastest pipeline takes every picture: the reader was armed at its rate.
            if stage.plan.fps < fps and not stage.sampler.wants(info.t_s):
                continue
            reason, stage.gap_reason = stage.gap_reason, ""
            yield stage.tracker.track(replace(info, gap_reason=reason), detections)


class Figures:
    """Collects what ``CameraFigures`` shows."""

    def __init__(self) -> None:
        self.analysed = self.missed = self.torn = self.invalid = 0
        self.error = ""
        self._ended_s: deque[float] = deque(maxlen=_WINDOW)
        self._run_s: deque[float] = deque(maxlen=_WINDOW)
        self._age_s: deque[float] = deque(maxlen=_WINDOW)

    def add(self, now_s: float, run_s: float, age_s: float) -> None:
        """Count one good analysis."""
        self.analysed += 1
        self.error = ""
        self._ended_s.append(now_s)
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
    gap_reason: str = ""


def _quantile(values: deque[float], share: float) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
