"""A rule whose limits change while it runs: nothing is reported twice, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.stage import batch, judge_all, plan, still
from tests.core.test_judge import IN, OUT, ZONE, streams
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.judge import MAX_PARKED, Judge
from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.dwell import DwellMachine

Document = dict[str, Any]


def changed(judge: Judge, document: Document) -> Judge:
    """The judge once the rule says something else, as after a new plan or a restart with one."""
    fresh = Judge("t", [plan(document)])
    fresh.restore(json.loads(json.dumps(judge.state(), allow_nan=False)))
    return fresh


def play(documents: Sequence[Document], batches: Sequence[TrackBatch]) -> list[tuple[float, tuple[int, ...]]]:
    """Time and tracks of each alert, where each batch is judged by the rule that stands beside it."""
    judge, alerts = Judge("t", [plan(documents[0])]), []
    for index, (document, each) in enumerate(zip(documents, batches, strict=True)):
        if index and document != documents[index - 1]:
            judge = changed(judge, document)
        alerts += [(round(v.alert.media_time_s, 3), v.alert.track_ids) for v in judge.judge(each)]
    return alerts


def at_most_at(limits: Sequence[float], **document: Any) -> list[Document]:
    return [{**document, "for_s": limit} for limit in limits]


DWELL = {"type": "dwell", "zone": ZONE}
STAYS = still(0, 10, {1: IN})  # 50 pictures, one each 0.2 s


@pytest.mark.parametrize(
    ("before_s", "after_s", "change_s", "alert_s"),
    [
        (8, 3, 5.0, 5.0),  # has stayed longer than the new limit: with the next picture
        (8, 6, 5.0, 6.0),
        (3, 8, 2.0, 8.0),  # not reported yet: waits for the new limit
        (3, 8, 5.0, 3.0),  # reported already: not again
        (3, 1, 5.0, 3.0),
        (8, 0, 0.2, 0.2),
    ],
)
def test_a_limit_changed_in_mid_visit(before_s: float, after_s: float, change_s: float, alert_s: float) -> None:
    limits = [before_s if each.frame.t_s < change_s - 1e-9 else after_s for each in STAYS]
    assert play(at_most_at(limits, **DWELL), STAYS) == [(alert_s, (1,))]


def test_a_limit_that_goes_up_and_down_reports_a_visit_once() -> None:
    limits = [9 if index % 2 else 2 for index in range(len(STAYS))]
    assert play(at_most_at(limits, **DWELL), STAYS) == [(2.0, (1,))]


# --- against a few lines of arithmetic, on scenes without gaps ------------------------------------------------------

PLACES = {1: (0.5, 0.6), 2: (0.6, 0.6), 3: (0.7, 0.6)}  # boxes that do not overlap
scenes = st.lists(
    st.tuples(st.frozensets(st.sampled_from(sorted(PLACES)), max_size=3), st.integers(1, 6)), min_size=1, max_size=8
)
limits_of = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0.0, 0.6, 1.0, 1.7, 3.0, 5.0])), max_size=5)


def pictures(scene: list[tuple[frozenset[int], int]]) -> list[TrackBatch]:
    """0.4 s from picture to picture: someone is missed for a moment, or for long."""
    seen = [present for present, repeat in scene for _ in range(repeat)]
    return [batch(0.4 * index, {key: PLACES[key] for key in sorted(p)}) for index, p in enumerate(seen)]


def limits_at(count: int, changes: list[tuple[int, float]]) -> list[float]:
    limits, now = [], 2.0
    for index in range(count):
        now = next((limit for at, limit in reversed(changes) if at == index), now)
        limits.append(now)
    return limits


def expected_dwells(batches: list[TrackBatch], limits: list[float]) -> list[tuple[float, tuple[int, ...]]]:
    """No one is ever seen outside, so a visit begins with the first picture of a track and never ends."""
    begins: dict[int, float] = {}
    reported: set[int] = set()
    alerts: list[tuple[float, tuple[int, ...]]] = []
    for each, limit in zip(batches, limits, strict=True):
        for track in each.track_ids:
            begin = begins.setdefault(track, each.frame.t_s)
            if track not in reported and each.frame.t_s - begin >= limit - SLACK_S:
                reported.add(track)
                alerts.append((round(each.frame.t_s, 3), (track,)))
    return alerts


def expected_conditions(
    batches: list[TrackBatch], limits: list[float], holds: Callable[[TrackBatch], bool], grace_s: float
) -> list[float]:
    """A condition that ends when it has been false for longer than ``grace_s``; reported while it holds."""
    begin: float | None = None
    false_since: float | None = None
    reported = False
    alerts = []
    for each, limit in zip(batches, limits, strict=True):
        now = each.frame.t_s
        if false_since is not None and now - false_since > grace_s + SLACK_S:
            begin, reported = None, False
        if not holds(each):
            false_since = now if false_since is None else false_since
            if grace_s == 0:
                begin, reported = None, False
            continue
        false_since = None
        begin = now if begin is None else begin
        if not reported and now - begin >= limit - SLACK_S:
            reported = True
            alerts.append(round(now, 3))
    return alerts


@settings(max_examples=300, deadline=None)
@given(scenes, limits_of)
def test_dwell_reports_each_visit_once_by_the_limit_of_the_picture(
    scene: list[tuple[frozenset[int], int]], changes: list[tuple[int, float]]
) -> None:
    batches = pictures(scene)
    limits = limits_at(len(batches), changes)
    assert play(at_most_at(limits, **DWELL), batches) == expected_dwells(batches, limits)


@settings(max_examples=200, deadline=None)
@given(scenes, limits_of)
def test_occupied_absent_and_crowded_are_reported_once_by_the_limit_of_the_picture(
    scene: list[tuple[frozenset[int], int]], changes: list[tuple[int, float]]
) -> None:
    batches = pictures(scene)
    limits = limits_at(len(batches), changes)
    cases: list[tuple[Document, Callable[[TrackBatch], bool], float]] = [
        ({"type": "zone_occupied", "zone": ZONE}, lambda each: bool(each.track_ids), 1.0),
        ({"type": "nothing_seen"}, lambda each: not each.track_ids, 0.0),
        ({"type": "count", "above": 1}, lambda each: len(each.track_ids) > 1, 0.0),
    ]
    for document, holds, grace_s in cases:
        times = [time for time, _ in play(at_most_at(limits, **document), batches)]
        assert times == expected_conditions(batches, limits, holds, grace_s), document["type"]


@settings(max_examples=200, deadline=None)
@given(scenes, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=5))
def test_a_count_goes_by_the_limit_of_the_picture(
    scene: list[tuple[frozenset[int], int]], changes: list[tuple[int, int]]
) -> None:
    batches = pictures(scene)
    limits = [int(limit) for limit in limits_at(len(batches), [(at, float(limit)) for at, limit in changes])]
    documents = [{"type": "count", "above": limit, "for_s": 1.0} for limit in limits]
    beyond = {id(each): len(each.track_ids) > limit for each, limit in zip(batches, limits, strict=True)}
    times = [time for time, _ in play(documents, batches)]
    assert times == expected_conditions(batches, [1.0] * len(batches), lambda each: beyond[id(each)], 0.0)


# --- any scene, with gaps, edges and new numbers: by what the rule itself says is a visit --------------------------


@settings(max_examples=150, deadline=None)
@given(streams(), st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0.0, 1.0, 2.0, 4.0])), max_size=5))
def test_no_visit_is_reported_twice_and_none_is_lost(
    batches: list[TrackBatch], changes: list[tuple[int, float]]
) -> None:
    """Each picture: a visit that has lasted the limit of that picture is reported, unless it was."""
    limits = limits_at(len(batches), changes)
    judge = Judge("t", [plan({**DWELL, "for_s": limits[0]})])
    reported: set[tuple[str, int, int]] = set()
    for index, (each, limit) in enumerate(zip(batches, limits, strict=True)):
        if index and limit != limits[index - 1]:
            judge = changed(judge, {**DWELL, "for_s": limit})
        got = sorted(v.alert.track_ids[0] for v in judge.judge(each))
        machine = next(iter(judge._rules.values())).machine
        assert isinstance(machine, DwellMachine)
        now_s = machine._clock._now_s
        due = []
        for track, visit in machine._book.visits.items():
            # A visit is who came in when; a new number for the same object keeps the first picture.
            name = (visit.first.moment.epoch, visit.first.moment.frame_no, visit.first.objects[0].track_id)
            here = visit.outside_s is None and track in each.track_ids and visit.seen_s == now_s
            if here and name not in reported and now_s - visit.since_s >= limit - SLACK_S:
                due.append(track)
                reported.add(name)
        assert got == sorted(due)


#: field, its other value, and whether what is known goes on
FIELDS: list[tuple[Document, Document, bool]] = [
    ({**DWELL, "for_s": 3}, {"title": "Other"}, True),
    ({**DWELL, "for_s": 3}, {"severity": "info"}, True),
    ({**DWELL, "for_s": 3}, {"actions": ["log"]}, True),
    ({**DWELL, "for_s": 3}, {"hold_s": 2}, True),
    ({**DWELL, "for_s": 3}, {"cooldown_s": 60}, True),
    ({**DWELL, "for_s": 3}, {"min_confidence": 0.5}, True),
    ({**DWELL, "for_s": 3}, {"schedule": {"timezone": "Europe/Berlin"}}, True),
    ({**DWELL, "for_s": 3}, {"zone": [[0.3, 0.3], [0.9, 0.3], [0.9, 0.9], [0.3, 0.9]]}, False),
    ({**DWELL, "for_s": 3}, {"labels": ["person"]}, False),
    ({**DWELL, "for_s": 3}, {"anchor": "center"}, False),
    ({"type": "count", "above": 0, "for_s": 3}, {"above": None, "below": 2}, False),
    ({"type": "zone_occupied", "zone": ZONE, "for_s": 3}, {"type": "dwell"}, False),
]


@pytest.mark.parametrize(("document", "change", "goes_on"), FIELDS, ids=lambda value: str(value)[:40])
def test_what_is_known_goes_on_or_starts_fresh(document: Document, change: Document, goes_on: bool) -> None:
    other = {key: value for key, value in {**document, **change}.items() if value is not None}
    batches = still(0, 8, {1: IN})
    documents = [document if each.frame.t_s < 2 - 1e-9 else other for each in batches]
    assert [time for time, _ in play(documents, batches)] == [3.0 if goes_on else 5.0]


def test_too_many_is_not_too_few() -> None:
    """Reported as too many; as too few it has not been reported yet."""
    many, few = {"type": "count", "above": 0}, {"type": "count", "below": 2}
    batches = still(0, 2, {1: IN})
    documents = [many if each.frame.t_s < 1 - 1e-9 else few for each in batches]
    assert [time for time, _ in play(documents, batches)] == [0.0, 1.0]


def test_a_cool_down_is_counted_from_the_last_alert() -> None:
    line = {"type": "line_crossed", "line": [[0.5, 0], [0.5, 1]]}
    batches = [batch(index / 5, {1: (0.3 if index % 2 else 0.7, 0.5)}) for index in range(40)]
    documents = [{**line, "cooldown_s": 60 if each.frame.t_s < 3 - 1e-9 else 2} for each in batches]
    assert [time for time, _ in play(documents, batches)] == [0.2, 3.0, 5.0, 7.0]


def test_who_is_inside_when_a_schedule_is_changed_is_reported_when_it_begins() -> None:
    # 2025-06-15T15:06:40Z is the first picture.
    batches = still(0, 10, {1: IN})
    night = {"start": "22:00", "end": "06:00"}
    documents = [
        {**DWELL, "for_s": 2, **({"schedule": night} if each.frame.t_s < 5 - 1e-9 else {})} for each in batches
    ]
    assert play(documents, batches) == [(5.0, (1,))]


def test_the_hold_of_someone_outside_is_the_new_one() -> None:
    left = {"type": "zone_left", "zone": ZONE}
    batches = still(0, 3, {1: IN}) + still(3, 9, {1: OUT})
    documents = [{**left, "hold_s": 5 if each.frame.t_s < 4 - 1e-9 else 0.5} for each in batches]
    # Not settled by the longer hold at that time, so there was nothing to leave; with the shorter one it would have.
    assert play(documents, batches) == []
    documents = [{**left, "hold_s": 2 if each.frame.t_s < 4 - 1e-9 else 0.5} for each in batches]
    assert play(documents, batches) == [(3.0, (1,))]


def test_two_changes_at_once_and_the_other_rule_goes_on() -> None:
    first, second = plan({**DWELL, "for_s": 4}, name="a"), plan({"type": "nothing_seen", "for_s": 3}, name="b")
    judge = Judge("t", [first, second])
    judge_all(judge, still(0, 2, {1: IN}))
    after = Judge("t", [plan({**DWELL, "for_s": 3}, name="a"), second])
    after.restore(json.loads(json.dumps(judge.state())))
    alerts = [(v.alert.rule, v.alert.media_time_s) for v in judge_all(after, still(2, 4, {1: IN}) + still(4, 8, {}))]
    assert alerts == [("a", 3.0), ("b", 7.0)]


def test_an_application_that_is_replaced_goes_on_where_it_was() -> None:
    """It detaches and attaches again; meanwhile other rules are judged, and the state is committed."""
    mine, other = plan({**DWELL, "for_s": 3}, name="mine"), plan({"type": "nothing_seen", "for_s": 60}, name="other")
    judge = Judge("t", [mine, other])
    assert [v.alert.rule for v in judge_all(judge, still(0, 5, {1: IN}))] == ["mine"]

    def with_rules(*rules: RulePlan) -> Judge:
        fresh = Judge("t", rules)
        fresh.restore(json.loads(json.dumps(judge.state())))
        return fresh

    judge = with_rules(other)
    judge_all(judge, still(5, 7, {1: IN}))
    judge = with_rules(mine, other)
    assert judge_all(judge, still(7, 12, {1: IN})) == [], "reported before, not reported again"
    judge = with_rules()
    judge = with_rules(mine)
    assert judge_all(judge, still(12, 17, {1: IN})) == [], "nor where nothing at all was judged meanwhile"


def test_what_is_kept_of_rules_that_are_gone_ends() -> None:
    rules = [plan({**DWELL, "for_s": 3}, name=f"r{number}") for number in range(400)]
    other = plan({"type": "nothing_seen", "for_s": 600}, name="other")
    judge = Judge("t", [*rules, other])
    judge_all(judge, still(0, 1, {1: IN}))
    after = Judge("t", [other])
    after.restore(judge.state())
    assert len(after.state()["rules"]) == MAX_PARKED + 1
    judge_all(after, still(1, 60, {1: IN}))
    assert len(after.state()["rules"]) == MAX_PARKED + 1
    judge_all(after, still(60, 62, {1: IN}))
    assert list(after.state()["rules"]) == ["app/other@cam-1"]
    broken = {**judge.state(), "rules": {"x": 3, "y": {"machine": {"clock": []}}, "z": None}}
    after.restore(broken)
    judge_all(after, still(62, 63, {1: IN}))
    assert list(after.state()["rules"]) == ["app/other@cam-1"]
