"""All insights of one application on one pipeline and camera: they see the same pictures and share the intervals."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from vedette.contracts.insight import InsightReport, InsightValues
from vedette.contracts.plan import InsightPlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.insights.base import InsightMachine
from vedette.core.insights.intervals import Intervals, Piece, Span
from vedette.core.insights.make import make_machine
from vedette.core.rules.clock import FIRST_WALL_S, LAST_WALL_S, StreamClock

_LOG = logging.getLogger(__name__)

#: How late a picture may come after its interval: analysis, journal and judging take far less, seconds.
LATE_S: Final = 10.0


class _Summed:
    """One insight."""

    def __init__(self, plan: InsightPlan) -> None:
        self.plan = plan
        self.machine: InsightMachine = make_machine(plan.insight)
        self.definition = _definition(plan)

    def state(self) -> dict[str, Any]:
        return {"definition": self.definition, "machine": self.machine.state()}

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Go on from a state of the same definition; fresh, and False, where it is none."""
        try:
            if state["definition"] == self.definition:
                self.machine.restore(state["machine"])
                return True
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _LOG.warning("insight %s starts fresh: its saved state cannot be read (%s)", self.plan.name, error)
        self.machine = make_machine(self.plan.insight)
        return False


class StreamInsights:
    """Turns batches of one stream into reports; pure: the same batches give the same reports.

    Args:
        device: IoT thing name.
        plans: insights of one application, pipeline and camera.

    Raises:
        ValueError: an insight is there twice.
    """

    def __init__(self, device: str, plans: Sequence[InsightPlan]) -> None:
        self._device = device
        self.plan = plans[0]
        self._clock = StreamClock(self.plan.fps)
        self._intervals = Intervals(self.plan.interval_s)
        self._late_s = LATE_S + self._clock.gap_limit_s
        self._summed = {plan.name: _Summed(plan) for plan in plans}
        if len(self._summed) < len(plans):
            raise ValueError(f"an insight of {self.plan.application} on {self.plan.camera} is there twice")
        self._analysed_s = 0.0
        self._first: tuple[str, int] | None = None

    @property
    def last_wall_s(self) -> float | None:
        """Unix time of the last picture."""
        return self._clock.last_wall_s

    def take(self, batch: TrackBatch) -> list[InsightReport]:
        """Sum up one batch; the reports of intervals that ended before it. One that was had before gives nothing."""
        since_s, before_s = self._clock.last_wall_s, self._clock.now_s
        tick = self._clock.advance(batch.frame)
        if tick is None:
            return []
        pieces = self._intervals.go_on(batch.frame.wall_s, tick.now_s - before_s, since_s)
        reports = self._pass(pieces)
        if self._first is None:
            self._first = (batch.frame.epoch, batch.frame.frame_no)
        for summed in self._summed.values():
            summed.machine.see(batch, tick)
        return reports

    def expire(self, now_s: float) -> list[InsightReport]:
        """The reports of intervals that ended so long before this Unix time that no picture of theirs can come."""
        untouched = self._first is None and self._analysed_s == 0.0
        return self._pass(self._intervals.expire(now_s, self._late_s, untouched=untouched))

    def finish(self) -> list[InsightReport]:
        """The report of the interval going on, for a stream that is over."""
        span = self._intervals.current
        return [] if span is None else self._pass([Piece(0.0, span)])

    def state(self) -> dict[str, Any]:
        """All that future reports depend on, as JSON."""
        return {
            "clock": self._clock.state(),
            "interval_s": self.plan.interval_s,
            "start_s": self._intervals.state(),
            "analysed_s": self._analysed_s,
            "first": None if self._first is None else list(self._first),
            "insights": {name: summed.state() for name, summed in self._summed.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state()``, also of a stream with other insights: new and changed ones start fresh.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is not such a state; start a fresh stream then.
        """
        first = state["first"]
        if state["interval_s"] == self.plan.interval_s:
            self._intervals.restore(state["start_s"])
            self._first = None if first is None else (str(first[0]), int(first[1]))
            self._analysed_s = float(state["analysed_s"])
        self._clock.restore(state["clock"])
        for name, summed in self._summed.items():
            saved = state["insights"].get(name)
            if saved is not None:
                summed.restore(saved)

    def _pass(self, pieces: Iterable[Piece]) -> list[InsightReport]:
        reports: list[InsightReport] = []
        for piece in pieces:
            self._analysed_s += piece.seconds
            for summed in self._summed.values():
                summed.machine.hold(piece.seconds)
            if piece.closes is not None:
                reports.append(self._report(piece.closes))
            if piece.empty is not None:
                reports.append(self._report(piece.empty))
        return reports

    def _report(self, span: Span) -> InsightReport:
        first, self._first = self._first, None
        analysed_s, self._analysed_s = self._analysed_s, 0.0
        plan = self.plan
        values: dict[str, InsightValues] = {name: summed.machine.close() for name, summed in self._summed.items()}
        what = ("vedette-insight-1", self._device, plan.application, plan.pipeline, plan.camera, span.start_s, first)
        text = json.dumps(what, separators=(",", ":"), ensure_ascii=False)
        return InsightReport(
            report_id=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32],
            device=self._device,
            application=plan.application,
            pipeline=plan.pipeline.rpartition("/")[2],
            camera=plan.app_camera,
            device_camera=plan.camera,
            start=_time(span.start_s),
            end=_time(span.end_s),
            analysed_s=round(analysed_s, 3),
            values=values,
        )


def _time(wall_s: float) -> datetime:
    return datetime.fromtimestamp(min(max(wall_s, FIRST_WALL_S), LAST_WALL_S - 1.0), UTC)


def _definition(plan: InsightPlan) -> str:
    """Hash of everything that decides what the insight's state means."""
    document = {
        "pipeline": plan.pipeline,
        "camera": plan.camera,
        "interval_s": plan.interval_s,
        "insight": plan.insight.model_dump(mode="json", exclude={"title"}),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
