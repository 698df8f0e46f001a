"""A camera that rests raises nothing, and what it missed is not counted as "nothing was seen"."""

from __future__ import annotations

import json

import pytest

from tests.core.stage import START_WALL_S, batch, plan
from tests.state.test_plan import app, cam
from vedette.contracts.camera import CameraState
from vedette.contracts.device_document import DeviceDocument
from vedette.core.device_document import cameras_in_force
from vedette.core.device_health import WELL
from vedette.core.judge import Judge
from vedette.core.plan import make_plan

FOR_S = 60


@pytest.mark.parametrize("rest_s", [5.0, 30.0, 300.0, 86_400.0])
def test_the_time_of_rest_does_not_count_as_nothing_seen(rest_s: float) -> None:
    rule = plan({"type": "nothing_seen", "for_s": FOR_S})
    judge, told = Judge("t", [rule]), []
    for number in range(50 * 5):
        told += judge.judge(batch(number / 5, {}))
    # Paused: the rule is in no plan, other rules go on; resumed: a new process of the camera, a new epoch.
    resting = Judge("t", [plan({"type": "nothing_seen", "for_s": 1e6}, camera="cam-2")])
    resting.restore(json.loads(json.dumps(judge.state())))
    for number in range(round(min(rest_s, 600) * 5)):
        told += resting.judge(batch(50 + number / 5, {}, camera="cam-2"))
    resumed = Judge("t", [rule])
    resumed.restore(json.loads(json.dumps(resting.state())))
    alerts = []
    for number in range(70 * 5):
        at_s = number / 5
        wall_s = START_WALL_S + 50 + rest_s + at_s
        verdicts = resumed.judge(batch(at_s, {}, epoch="e2", wall_s=wall_s, gap_reason="started"))
        alerts += [at_s] * len(verdicts)
    assert told == []
    assert len(alerts) == 1
    assert alerts[0] >= FOR_S - 0.5, "the time begins anew with the resumed camera"


def test_a_paused_camera_is_planned_for_nobody_and_is_well() -> None:
    cameras = cameras_in_force([cam("hall"), cam("dock")], DeviceDocument(paused={"hall": "anna"}))
    before = make_plan([app("shop")], [cam("hall"), cam("dock")])
    made = make_plan([app("shop")], cameras)
    assert {rule.camera for rule in before.rules} - {rule.camera for rule in made.rules} == {"hall"}
    assert "hall" not in {stream.camera for stream in made.streams}
    assert CameraState.DISABLED in WELL
