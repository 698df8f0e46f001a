"""A made-up site: batches in which people cross a line at known times, the plan that watches them, what must come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vedette.contracts.alert import Alert
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Action, FileAction, LineCrossed
from vedette.contracts.plan import Plan, RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.judge import Judge

DEVICE = "thing"
PIPELINE = "app/people"
FPS = 10.0
#: Pictures between two people.
PERIOD = 10


def plan(cameras: Sequence[str], actions: Mapping[str, Action] | None = None, *, revision: int = 1) -> Plan:
    """One line rule on each camera; every alert goes to every action."""
    actions = actions or {"app/file": FileAction(type="file")}
    rule = LineCrossed(type="line_crossed", line=((0.5, 0.0), (0.5, 1.0)), direction="any", pipeline="people")
    return Plan(
        revision=revision,
        rules=tuple(
            RulePlan(
                application="app",
                name="crossing",
                pipeline=PIPELINE,
                camera=camera,
                app_camera=camera,
                rule=rule,
                actions=tuple(actions),
            )
            for camera in cameras
        ),
        actions=dict(actions),
    )


def write_plan(directory: Path, content: Plan) -> None:
    temporary = directory / ".plan.tmp"
    temporary.write_text(content.model_dump_json())
    temporary.replace(directory / "plan.json")


def batches(camera: str, people: int, *, first: int = 0, begin_wall_s: float = 1.7e9) -> Iterator[TrackBatch]:
    """``people`` walk through the picture one after the other, each crossing the middle once."""
    for number in range(first * PERIOD, (first + people) * PERIOD):
        person, phase = divmod(number, PERIOD)
        x = 64.0 * phase + 32.0
        boxes = ((x - 20.0, 200.0, x + 20.0, 300.0),)
        time_s = number / FPS
        yield TrackBatch(
            pipeline=PIPELINE,
            frame=FrameInfo(camera, "e1", number, time_s, time_s, begin_wall_s + time_s, 640, 480),
            track_ids=(person + 1,),
            boxes=boxes,
            labels=("person",),
            scores=(0.9,),
            analysed_wall_s=begin_wall_s + time_s,
        )


def expected(content: Plan, everything: Sequence[TrackBatch]) -> list[Alert]:
    """What judging the batches in one go gives."""
    judge = Judge(DEVICE, content.rules)
    return [verdict.alert for batch in everything for verdict in judge.judge(batch)]
