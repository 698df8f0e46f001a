"""Batches for rule tests: what stands where, when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Rule
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.judge import Judge, Verdict
from vedette.core.rules import Event, RuleMachine, make_machine

WIDTH, HEIGHT = 1000, 1000
START_WALL_S = 1_750_000_000.0
PIPELINE = "app/people"
_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)

#: Track number → anchor point (bottom centre), normalised.
Places = Mapping[int, tuple[float, float]]


def plan(document: dict[str, Any], *, name: str = "rule", camera: str = "cam-1", fps: float = 5.0) -> RulePlan:
    """A rule as the plan holds it, from what the manifest would say."""
    rule: Rule = _RULE.validate_python(document)
    return RulePlan(
        application="app",
        name=name,
        pipeline=PIPELINE,
        camera=camera,
        app_camera="hall",
        rule=rule,
        actions=("app/file",),
        fps=fps,
    )


def machine(fps: float = 5.0, **document: Any) -> RuleMachine:
    """A machine of the rule."""
    return make_machine(plan(document, fps=fps))


def batch(
    t_s: float,
    places: Places,
    *,
    frame_no: int | None = None,
    epoch: str = "e1",
    labels: Mapping[int, str] | None = None,
    scores: Mapping[int, float] | None = None,
    camera: str = "cam-1",
    wall_s: float | None = None,
    gap_reason: str = "",
) -> TrackBatch:
    """One analysed picture; boxes are 40 x 100 pixels, their bottom centre at the place."""
    return TrackBatch(
        pipeline=PIPELINE,
        frame=FrameInfo(
            camera=camera,
            epoch=epoch,
            frame_no=round(t_s * 100) if frame_no is None else frame_no,
            t_s=t_s,
            media_time_s=t_s,
            wall_s=START_WALL_S + t_s if wall_s is None else wall_s,
            width=WIDTH,
            height=HEIGHT,
            gap_reason=gap_reason,
        ),
        track_ids=tuple(places),
        boxes=tuple((x * WIDTH - 20, y * HEIGHT - 100, x * WIDTH + 20, y * HEIGHT) for x, y in places.values()),
        labels=tuple((labels or {}).get(key, "person") for key in places),
        scores=tuple((scores or {}).get(key, 0.8) for key in places),
        analysed_wall_s=START_WALL_S + t_s,
    )


def play(on: RuleMachine, batches: Iterable[TrackBatch]) -> list[tuple[float, Event]]:
    """All events, each with the time of the picture in which it was decided."""
    return [(each.frame.t_s, event) for each in batches for event in on.step(each)]


def times(events: Iterable[tuple[float, Event]]) -> list[float]:
    """When the events happened, to the hundredth of a second."""
    return [round(event.moment.media_time_s, 2) for _, event in events]


def still(start_s: float, end_s: float, places: Places, fps: float = 5.0) -> list[TrackBatch]:
    """The same picture from start (included) to end (excluded)."""
    first, last = round(start_s * fps), round(end_s * fps)
    return [batch(index / fps, places) for index in range(first, last)]


def judge_all(on: Judge, batches: Iterable[TrackBatch]) -> list[Verdict]:
    """All verdicts."""
    return [verdict for each in batches for verdict in on.judge(each)]
