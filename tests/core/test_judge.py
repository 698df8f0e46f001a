"""Exactly one alert for each event, whatever happens to the process that judges."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.stage import START_WALL_S, batch, judge_all, plan, still
from vedette.contracts.alert import Alert, Severity
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.judge import Judge

ZONE = [[0.4, 0.4], [0.8, 0.4], [0.8, 0.8], [0.4, 0.8]]
IN, OUT = (0.6, 0.6), (0.2, 0.6)

DOCUMENTS: dict[str, dict[str, Any]] = {
    "line": {"type": "line_crossed", "line": [[0.5, 0.0], [0.5, 1.0]], "hold_s": 0.4, "min_confidence": 0.5},
    "entered": {"type": "zone_entered", "zone": ZONE, "hold_s": 0.4},
    "left": {"type": "zone_left", "zone": ZONE},
    "occupied": {"type": "zone_occupied", "zone": ZONE, "for_s": 2},
    "dwell": {"type": "dwell", "zone": ZONE, "for_s": 2, "cooldown_s": 3},
    "above": {"type": "count", "above": 1, "for_s": 1, "hold_s": 0.5},
    "below": {"type": "count", "below": 1, "zone": ZONE},
    "changed": {"type": "count_changed", "hold_s": 0.5},
    "nothing": {"type": "nothing_seen", "for_s": 2},
}
ALL = [plan(document, name=name) for name, document in DOCUMENTS.items()]


def alerts_of(judge: Judge, batches: list[TrackBatch]) -> list[Alert]:
    return [verdict.alert for verdict in judge_all(judge, batches)]


def restarted(judge: Judge, rules: list[RulePlan] = ALL) -> Judge:
    fresh = Judge("thing", rules)
    fresh.restore(json.loads(json.dumps(judge.state(), allow_nan=False)))
    return fresh


coordinate = st.sampled_from([0.2, 0.45, 0.495, 0.51, 0.6, 0.79, 0.9])
picture = st.tuples(
    st.sampled_from([0.2, 0.2, 0.2, 0.2, 0.3, 1.5, 4.0, 70.0]),
    st.dictionaries(st.integers(1, 4), st.tuples(coordinate, st.sampled_from([0.3, 0.6])), max_size=3),
    st.sampled_from([0.2, 0.6, 0.9]),
)


@st.composite
def streams(draw: st.DrawFn) -> list[TrackBatch]:
    """A stretch of a stream in which things stay for a while, with gaps and new epochs."""
    t_s, index, batches = 100.0, 0, []
    for step_s, places, score in draw(st.lists(picture, min_size=1, max_size=12)):
        epoch = f"e{draw(st.integers(0, 1))}" if step_s > 1 else "e"
        for repeat in range(draw(st.integers(1, 8))):
            t_s += step_s if repeat == 0 else 0.2
            batches.append(batch(t_s, places, frame_no=index, epoch=epoch, scores=dict.fromkeys(places, score)))
            index += 1
    return batches


@settings(max_examples=150, deadline=None)
@given(streams(), st.lists(st.integers(0, 60), max_size=4), st.integers(0, 5))
def test_a_restart_between_any_two_batches_changes_nothing(
    batches: list[TrackBatch], cuts: list[int], repeated: int
) -> None:
    whole = Judge("thing", ALL)
    expected = judge_all(whole, batches)
    judge, got = Judge("thing", ALL), []
    for index, each in enumerate(batches):
        if index in cuts:
            judge = restarted(judge)
            # What was judged before may come again: it is recognised.
            assert not judge_all(
                judge,
                [
                    b
                    for b in batches[max(0, index - repeated) : index]
                    if b.frame.epoch == batches[index - 1].frame.epoch
                ],
            )
        got += judge.judge(each)
    assert got == expected
    assert len({verdict.alert.alert_id for verdict in got}) == len(got)
    assert judge.suppressed == whole.suppressed
    assert judge.state() == whole.state()


@settings(max_examples=50, deadline=None)
@given(streams())
def test_alerts_keep_what_the_contract_promises(batches: list[TrackBatch]) -> None:
    known = {(each.frame.epoch, each.frame.media_time_s): each for each in batches}
    for verdict in judge_all(Judge("thing", ALL), batches):
        alert = verdict.alert
        assert Alert.model_validate_json(alert.model_dump_json()) == alert
        assert alert.message.endswith(".")
        source = next(each for (_, media_s), each in known.items() if abs(media_s - alert.media_time_s) < 1e-3)
        assert set(alert.track_ids) <= set(source.track_ids)
        assert len(alert.boxes) == len(alert.track_ids)
        assert alert.time.timestamp() == pytest.approx(source.frame.wall_s, abs=1e-3)


def test_an_alert_says_what_happened() -> None:
    judge = Judge("thing-1", [plan({**DOCUMENTS["line"], "hold_s": 0, "severity": "critical", "title": "Door"})])
    verdicts = judge_all(judge, [batch(1.0, {3: (0.3, 0.5)}), batch(1.2, {3: (0.6, 0.5)})])
    assert [verdict.actions for verdict in verdicts] == [("app/file",)]
    document = json.loads(verdicts[0].alert.model_dump_json())
    assert document == {
        "alert_id": document["alert_id"],
        "device": "thing-1",
        "application": "app",
        "camera": "hall",
        "device_camera": "cam-1",
        "rule": "rule",
        "severity": "critical",
        "time": "2025-06-15T15:06:41.200000Z",
        "media_time_s": 1.2,
        "label": "person",
        "track_ids": [3],
        "boxes": [[580.0, 400.0, 620.0, 500.0]],
        "confidence": 0.8,
        "count": None,
        "direction": "left_to_right",
        "distance_m": None,
        "duration_s": None,
        "attributes": {},
        "epoch": "e1",
        "frame_no": 120,
        "message": "Door: person 3 crossed the line from left to right on hall (cam-1).",
    }
    assert len(document["alert_id"]) == 32
    assert verdicts[0].alert.severity is Severity.CRITICAL


def test_the_id_depends_on_what_happened_and_on_nothing_else() -> None:
    batches = [batch(1.0, {3: (0.3, 0.5)}), batch(1.2, {3: (0.6, 0.5)})]

    def identifier(device: str = "thing", later: bool = False, **changes: Any) -> str:
        document = {**DOCUMENTS["line"], "hold_s": 0}
        rule = plan(document).model_copy(update=changes)
        moved = [
            replace(b, analysed_wall_s=1.0, boxes=tuple((x, y, z + 5, w) for x, y, z, w in b.boxes)) for b in batches
        ]
        return alerts_of(Judge(device, [rule]), moved if later else batches)[0].alert_id

    same = identifier()
    assert identifier(later=True) == same
    assert identifier(actions=("app/other",)) == same
    others = {identifier(device="other"), identifier(name="other"), identifier(application="other")}
    assert len({same, *others}) == 4


def test_outside_the_schedule_nothing_is_reported_but_life_goes_on() -> None:
    # 2025-06-15T15:06:40Z plus 20 s.
    armed = {"schedule": {"start": "15:07:00", "end": "16:00"}}
    early = still(0, 20, {1: IN}) + still(20, 30, {1: IN})
    entered = plan({"type": "zone_entered", "zone": ZONE, **armed})
    assert not alerts_of(Judge("t", [entered]), early)
    # What still holds when the rule is armed is reported then.
    dwell = plan({"type": "dwell", "zone": ZONE, "for_s": 5, **armed})
    assert [alert.media_time_s for alert in alerts_of(Judge("t", [dwell]), early)] == [20.0]
    nothing = plan({"type": "nothing_seen", "for_s": 5, **armed})
    assert [alert.media_time_s for alert in alerts_of(Judge("t", [nothing]), still(0, 30, {}))] == [20.0]


def test_the_cool_down_suppresses_and_counts() -> None:
    judge = Judge("t", [plan({**DOCUMENTS["line"], "hold_s": 0, "cooldown_s": 5})])
    places = [{1: (0.3 if index % 2 else 0.7, 0.5)} for index in range(60)]
    alerts = alerts_of(judge, [batch(index / 5, place) for index, place in enumerate(places)])
    assert [round(alert.media_time_s, 1) for alert in alerts] == [0.2, 5.2, 10.2]
    assert "24 more within the cool-down" in alerts[1].message
    assert judge.suppressed == {"app/rule@cam-1": 59 - 3}


def test_the_cool_down_ends_during_a_gap() -> None:
    judge = Judge("t", [plan({**DOCUMENTS["line"], "hold_s": 0, "cooldown_s": 5})])
    batches = [
        batch(0, {1: (0.3, 0.5)}),
        batch(0.2, {1: (0.7, 0.5)}),
        batch(9, {1: (0.7, 0.5)}),
        batch(9.2, {1: (0.3, 0.5)}),
    ]
    assert len(alerts_of(judge, batches)) == 2


def test_labels_and_confidence_choose_what_a_rule_is_about() -> None:
    rule = plan({"type": "count_changed", "labels": ["car"], "min_confidence": 0.6})
    judge = Judge("t", [rule])
    batches = []
    for index in range(30):
        # A weak picture now and then does not end it; a track that is weak throughout never counts.
        strong = 0.3 if index % 6 == 5 else 0.62
        batches.append(
            batch(index / 5, {1: IN, 2: OUT, 3: IN}, labels={1: "car", 2: "car"}, scores={1: strong, 2: 0.5})
        )
    alerts = alerts_of(judge, batches)
    assert [(alert.count, alert.label, alert.track_ids) for alert in alerts] == [(1, "car", (1,))]


def test_time_not_analysed_is_reported_with_its_reason() -> None:
    judge = Judge("t", ALL)
    batches = [
        batch(0, {}),
        batch(0.9, {}),
        batch(3.4, {}),
        batch(3.6, {}),
        batch(8.6, {}, gap_reason="STALLED: no packet"),
    ]
    judge_all(judge, batches)
    stretches = judge.take_not_analysed()
    assert [(round(s.seconds, 1), s.reason) for s in stretches] == [
        (2.5, "not analysed in time (overload or restart)"),
        (5.0, "STALLED: no packet"),
    ]
    assert (stretches[0].camera, stretches[0].pipeline) == ("cam-1", "app/people")
    assert stretches[0].from_s == pytest.approx(START_WALL_S + 0.9)
    assert stretches[0].to_s == pytest.approx(START_WALL_S + 3.4)
    assert not judge.take_not_analysed()
    assert not judge_all(restarted(judge), [batch(8.7, {})])


def test_a_slow_pipeline_has_no_gaps_between_its_pictures() -> None:
    judge = Judge("t", [plan({"type": "nothing_seen", "for_s": 6}, fps=0.5)])
    alerts = alerts_of(judge, [batch(2.0 * index, {}) for index in range(10)])
    assert [alert.media_time_s for alert in alerts] == [6.0]
    assert not judge.take_not_analysed()


def test_after_a_reboot_old_times_mean_nothing() -> None:
    judge = Judge("t", [plan(DOCUMENTS["dwell"])])
    judge_all(judge, still(1000, 1001, {1: IN}))
    # The clock starts at 0 again, or stands higher by chance; the wall clock says an hour has passed.
    for start_s in (5.0, 1003.0):
        later = restarted(judge, [plan(DOCUMENTS["dwell"])])
        batches = [
            batch(start_s + index / 5, {1: IN}, epoch="new", wall_s=START_WALL_S + 5000 + index / 5)
            for index in range(11)
        ]
        alerts = alerts_of(later, batches)
        assert [alert.media_time_s for alert in alerts] == [start_s + 2]
        assert later.take_not_analysed()[0].seconds > 3000


def test_other_cameras_and_pipelines_are_left_alone() -> None:
    judge = Judge("t", [plan(DOCUMENTS["entered"]), plan(DOCUMENTS["entered"], camera="cam-2")])
    assert not judge.judge(batch(0, {1: IN}, camera="cam-3"))
    assert not judge.judge(replace(batch(0, {1: IN}), pipeline="other/people"))
    judge_all(judge, still(0, 2, {1: IN}))
    assert len(judge_all(judge, [batch(t, {1: IN}, camera="cam-2") for t in (0.0, 0.2, 0.4)])) == 1
    with pytest.raises(ValueError, match="twice"):
        Judge("t", [plan(DOCUMENTS["entered"]), plan(DOCUMENTS["entered"])])


def test_other_rules_keep_their_state_when_one_is_changed() -> None:
    before = Judge("t", [plan(DOCUMENTS["dwell"], name="a"), plan(DOCUMENTS["occupied"], name="b")])
    judge_all(before, still(0, 1.2, {1: IN}))
    document = {**DOCUMENTS["dwell"], "title": "New title", "severity": "info"}
    changed = {**DOCUMENTS["occupied"], "labels": ["person"], "for_s": 1.8}
    after = restarted(before, [plan(document, name="a"), plan(changed, name="b"), plan(DOCUMENTS["entered"], name="c")])
    alerts = alerts_of(after, still(1.2, 6, {1: IN}))
    assert [(alert.rule, alert.media_time_s) for alert in alerts] == [("c", 1.2), ("a", 2.0), ("b", 3.0)]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": 99},
        {"version": 1, "rules": [], "streams": 3},
        {"version": 1, "rules": {"app/dwell@cam-1": {"definition": "x"}}, "streams": [["a"]]},
    ],
)
def test_a_state_that_cannot_be_read_means_a_fresh_start(broken: dict[str, Any]) -> None:
    judge = Judge("t", ALL)
    judge.restore(broken)
    assert len(judge_all(judge, still(0, 9, {1: IN}))) > 3


def test_a_damaged_rule_starts_fresh_and_the_others_do_not() -> None:
    judge = Judge("t", ALL)
    judge_all(judge, still(0, 1, {1: IN}))
    damages: tuple[Any, ...] = (
        None,
        3,
        {},
        [],
        {"clock": [1], "selection": [], "rule": []},
        {"clock": [None, 0, 0, 0, 0, 0], "selection": [], "rule": [["x"]]},
    )
    for key, damage in itertools.product(DOCUMENTS, damages):
        state = json.loads(json.dumps(judge.state()))
        state["rules"][f"app/{key}@cam-1"]["machine"] = damage
        again = Judge("t", ALL)
        again.restore(state)
        assert judge_all(again, still(1, 9, {1: IN}))


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e300])
def test_numbers_that_are_none_never_reach_an_alert(poison: float) -> None:
    judge = Judge("t", ALL)
    verdicts = judge_all(judge, still(0, 1, {1: IN}))
    base = still(1, 12, {1: IN, 2: OUT})
    bad = base[3]
    for worse in (
        replace(bad, frame=replace(bad.frame, wall_s=poison)),
        replace(bad, frame=replace(bad.frame, media_time_s=poison)) if not math.isfinite(poison) else bad,
        replace(bad, frame=replace(bad.frame, width=0)),
        replace(bad, boxes=((poison, 0.0, 1.0, 1.0), bad.boxes[1])),
        replace(bad, scores=(poison, 0.5)),
    ):
        verdicts += judge_all(restarted(judge), [*base[:3], worse, *base[4:]])
    assert verdicts
    for verdict in verdicts:
        text = verdict.alert.model_dump_json()
        assert "nan" not in text.lower()
        assert "inf" not in text.lower().replace("info", "")


def test_state_stays_small() -> None:
    judge = Judge("t", ALL)
    for index in range(4000):
        places = {index * 5 + k: (0.45 + 0.07 * k, 0.6) for k in range(5)}
        judge.judge(batch(index / 5, places))
    assert len(json.dumps(judge.state())) < 3_000_000
    for index in range(4000, 4400):
        judge.judge(batch(index / 5, {1: OUT}))
    assert len(json.dumps(judge.state())) < 10_000
