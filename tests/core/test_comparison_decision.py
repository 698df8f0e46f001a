"""Whether a new version sees what the running one sees: verdicts, how often they are wrong, and order is nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from math import comb, fsum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.comparison import (
    MAX_DEVICES,
    Agreement,
    ComparisonPolicy,
    ComparisonReport,
    GoldenClips,
)
from vedette.contracts.rollout import Compared, Verdict
from vedette.core.fleet.bounds import lower, objects_needed, upper
from vedette.core.fleet.comparison import LEAST_OBJECTS, Asked, added_up, compared

POLICY = ComparisonPolicy()
GREEN = GoldenClips(total=2)


def agreement(running: Sequence[float], new: Sequence[float] | None = None) -> Agreement:
    """Of objects, by the share in which the other version saw each."""
    new = running if new is None else new
    return Agreement(running_objects=len(running), running_seen=fsum(running), new_objects=len(new), new_seen=fsum(new))


def report(labels: dict[str, Agreement], device: str = "cam-1", **more: Any) -> ComparisonReport:
    given: dict[str, Any] = {
        "time": datetime(2026, 1, 1, tzinfo=UTC),
        "device": device,
        "rollout_id": "rollout-1",
        "application": "ppe",
        "version": "2.0.0",
        "against": "1.0.0",
        "done": True,
        "frames": 2000,
        "labels": labels,
        "golden": GREEN,
    }
    return ComparisonReport(**(given | more))


def decide(*reports: ComparisonReport, **more: Any) -> Compared:
    given: dict[str, Any] = {"policy": POLICY, "version": "2.0.0", "running": "1.0.0", "online": 1, "over": False}
    return compared(reports, Asked(**(given | more)))


def verdict(labels: dict[str, Agreement], **more: Any) -> Verdict:
    return decide(report(labels), **more).verdict


def test_half_of_the_recall_fails() -> None:
    chance = random.Random(1)
    for _ in range(50):
        seen = [float(chance.random() < 0.5) for _ in range(60)]
        assert verdict({"person": agreement(seen, [0.97] * 30)}) is Verdict.FAIL
    found = decide(report({"person": agreement([0.48] * 31, [1.0] * 31)}))
    assert found.reason == ("of 31 objects that 1.0.0 followed, 2.0.0 saw 48 % (at most 67 %, 80 % are needed)")
    assert found.overall.running_objects == 31


@pytest.mark.parametrize("objects", [25, 60, 400])
def test_an_identical_version_is_never_taken_back(objects: int) -> None:
    """Two runs of the same model differ a little where pictures are dropped or an object is at the edge."""
    for seed in range(50):
        noise = np.random.default_rng(seed)
        shares = {
            name: agreement(noise.uniform(0.9, 1.0, objects).tolist(), noise.uniform(0.9, 1.0, objects).tolist())
            for name in ("person", "helmet", "forklift")
        }
        assert verdict(shares) is Verdict.PASS
    assert verdict({"person": agreement([1.0] * objects)}) is Verdict.PASS


def test_an_empty_scene_is_no_evidence() -> None:
    found = decide(report({}))
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason == (
        "of 0 objects that 1.0.0 followed, 2.0.0 saw nothing: there was nothing to see; 20 more would do at this share"
    )
    assert decide(over=True).verdict is Verdict.UNDECIDED
    assert decide(over=True).reason == "no device has told what both versions see"


@given(st.integers(0, LEAST_OBJECTS - 1), st.floats(0.0, 1.0))
def test_few_objects_decide_nothing(objects: int, share: float) -> None:
    assert verdict({"person": agreement([share] * objects)}) is Verdict.UNDECIDED


def test_undecided_says_how_many_more_would_do() -> None:
    found = decide(report({"person": agreement([0.85] * 40, [1.0] * 40)}))
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason.endswith("146 more would do at this share")
    assert verdict({"person": agreement([0.85] * 186, [1.0] * 40)}) is Verdict.PASS
    assert verdict({"person": agreement([0.85] * 185, [1.0] * 40)}) is Verdict.UNDECIDED
    near = decide(report({"person": agreement([0.8] * 40, [1.0] * 40)}))
    assert near.reason.endswith("no number of them would do, the share is too near the limit")


def test_what_only_the_new_version_sees_counts_against_it() -> None:
    many = {"person": agreement([1.0] * 40, [0.1] * 200)}
    found = decide(report(many))
    assert found.verdict is Verdict.FAIL
    assert found.reason.startswith("of 200 objects that 2.0.0 followed, 1.0.0 saw 10 % (at most")


def test_one_label_that_is_lost_fails_although_there_are_many_others() -> None:
    labels = {"person": agreement([1.0] * 900), "dog": agreement([0.1] * 30, [1.0] * 3)}
    found = decide(report(labels))
    assert found.verdict is Verdict.FAIL
    assert "of 30 objects 'dog' that 1.0.0 followed, 2.0.0 saw 10 %" in found.reason
    few = {"person": agreement([1.0] * 900), "dog": agreement([0.0] * 5, [])}
    assert verdict(few) is Verdict.PASS, "a label with little evidence decides nothing"


@pytest.mark.parametrize(
    ("share", "wrong", "objects"),
    [(0.795, Verdict.PASS, n) for n in (20, 90)] + [(0.805, Verdict.FAIL, n) for n in (20, 90)],
)
@pytest.mark.parametrize("kind", ["all or nothing", "anything between"])
def test_it_is_wrong_no_more_often_than_it_says(share: float, wrong: Verdict, objects: int, kind: str) -> None:
    """At the worst place, next to the limit; three labels, each of which could fail it, too."""
    chance, runs, errors = np.random.default_rng(objects), 200, 0
    for _ in range(runs):
        labels = {}
        for name in ("a", "b", "c"):
            if kind == "all or nothing":
                seen = (chance.random(objects) < share).astype(float)
            else:
                seen = chance.beta(share * 4, (1 - share) * 4, objects)
            labels[name] = agreement(seen.tolist(), [1.0] * objects)
        errors += verdict(labels) is wrong
    # One in twenty, and what chance may add to that in so many runs.
    assert errors <= 0.05 * runs + 3 * math.sqrt(0.05 * 0.95 * runs)


@given(st.integers(1, 400), st.data())
def test_bounds_are_exact(objects: int, data: st.DataObject) -> None:
    """By definition: at the bound, so many or more are seen as seldom as the confidence says."""
    seen = data.draw(st.integers(1, objects))
    least = lower(seen / objects, objects, 0.95)
    tail = fsum(comb(objects, k) * least**k * (1 - least) ** (objects - k) for k in range(seen, objects + 1))
    assert tail == pytest.approx(0.05, rel=1e-6)
    assert upper(1 - seen / objects, objects, 0.95) == pytest.approx(1 - least)
    assert 0.0 <= least <= seen / objects <= upper(seen / objects, objects, 0.95) <= 1.0


@given(st.floats(0.0, 1.0), st.floats(0.05, 0.95))
def test_the_number_that_is_needed_is_the_smallest_that_does(share: float, limit: float) -> None:
    count = objects_needed(share, limit, 0.95, at_least=LEAST_OBJECTS)
    if count is None or count == LEAST_OBJECTS:
        return

    def told(objects: int) -> bool:
        if share >= limit:
            return lower(share, objects, 0.95) >= limit
        return upper(share, objects, 0.95) < limit

    assert told(count)
    assert not told(count - 1)


SHARES = st.lists(st.floats(0.0, 1.0), max_size=8)
AGREEMENTS = st.builds(agreement, SHARES, SHARES)
REPORTS = st.lists(st.dictionaries(st.sampled_from(("person", "dog", "*")), AGREEMENTS), max_size=6).map(
    lambda each: [report(labels, device=f"cam-{n}") for n, labels in enumerate(each)]
)


@given(REPORTS, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_devices_is_nothing(reports: list[ComparisonReport], chance: random.Random, over: bool) -> None:
    other = [*reports]
    chance.shuffle(other)
    assert decide(*reports, online=len(reports), over=over) == decide(*other, online=len(reports), over=over)
    labels = [one for each in reports for one in each.labels.values()]
    mixed = [*labels]
    chance.shuffle(mixed)
    assert added_up(labels) == added_up(mixed)


@given(REPORTS, st.integers(0, 9), st.booleans())
def test_a_pass_has_evidence(reports: list[ComparisonReport], online: int, over: bool) -> None:
    found = decide(*reports, online=online, over=over)
    if over:
        assert found.verdict is not Verdict.WAIT
    if found.verdict is Verdict.PASS:
        assert found.overall.running_objects >= LEAST_OBJECTS
        assert found.overall.running_seen >= POLICY.least_agreement * found.overall.running_objects


def test_it_waits_for_those_that_are_there_and_not_for_ever() -> None:
    good = {"person": agreement([1.0] * 100)}
    half = decide(report(good, "cam-1"), report(good, "cam-2", done=False), online=2)
    assert (half.verdict, half.reason) == (Verdict.WAIT, "1 of 2 devices have compared 2000 pictures")
    assert decide(report(good, "cam-1"), report(good, "cam-2", done=False), online=1).verdict is Verdict.PASS
    over = decide(report(good, "cam-1", done=False), online=2, over=True)
    assert (over.verdict, over.finished) == (Verdict.PASS, 0)
    many = [report(good, f"cam-{n}") for n in range(MAX_DEVICES)]
    assert decide(*many, online=50_000).verdict is Verdict.PASS


def test_own_tests_of_the_application() -> None:
    good = {"person": agreement([1.0] * 100)}
    bad = GoldenClips(total=3, failed=1, failures=("night",))
    found = decide(report(good, "cam-1"), report(good, "cam-2", golden=bad, done=False), online=1)
    assert (found.verdict, found.reason) == (Verdict.FAIL, "the application's own tests fail (night) on cam-2")
    assert decide(report(good, golden=None)).verdict is Verdict.WAIT
    late = decide(report(good, golden=None), over=True)
    assert (late.verdict, "not run in time on cam-1" in late.reason) == (Verdict.UNDECIDED, True)


def test_a_device_that_cannot_compare_leaves_it_undecided() -> None:
    good = {"person": agreement([1.0] * 100)}
    found = decide(report(good, "cam-1"), report({}, "cam-2", problem="no memory", golden=None), online=2)
    assert (found.verdict, found.reason) == (Verdict.UNDECIDED, "on cam-2: no memory")


def test_notes_of_devices_are_told_once_and_hinder_nothing() -> None:
    good = {"person": agreement([1.0] * 100)}
    same = [report(good, f"cam-{n}", notes=("labels are new: dog",)) for n in range(3)]
    found = decide(*same, online=3)
    assert (found.verdict, found.notes) == (Verdict.PASS, ("labels are new: dog",))


def test_where_nothing_runs_only_the_own_tests_count() -> None:
    found = decide(report({}, against=None), running=None)
    assert (found.verdict, found.reason) == (
        Verdict.PASS,
        "nothing ran that 2.0.0 could be compared with; 2 of the application's own tests pass",
    )
    bare = decide(report({}, against=None, golden=GoldenClips()), running=None)
    assert bare.reason.endswith("; the application brought no tests")
    bad = GoldenClips(total=1, failed=1)
    assert decide(report({}, against=None, golden=bad), running=None).verdict is Verdict.FAIL


def test_what_was_compared_with_another_version_is_no_evidence() -> None:
    good = {"person": agreement([1.0] * 100)}
    assert decide(report(good, against="0.9.0")).verdict is Verdict.UNDECIDED
    assert decide(report(good, against=None)).verdict is Verdict.UNDECIDED
