"""Desired states, documents and gates: what must hold for any of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import assume, given
from hypothesis import strategies as st

from vedette.contracts.fleet_metrics import Condition
from vedette.contracts.ring_summary import RingSummary
from vedette.contracts.rollout import (
    MAX_UNWELL,
    ApplicationChange,
    ApplicationChoice,
    Change,
    ComponentChange,
    ComponentChoice,
    DesiredState,
    GatePolicy,
    RingCounts,
    RingStatus,
    RolloutStatus,
    Verdict,
)
from vedette.core.fleet import rollout as progress
from vedette.core.fleet.desired import applied, holds, same, subject, undoing
from vedette.core.fleet.device_state import DeviceView, standing
from vedette.core.fleet.document import deployment
from vedette.core.fleet.gate import Finding, decide
from vedette.core.fleet.ring_view import JobCounts, RingTally, counted, job_counts, one_device, unwell
from vedette.core.fleet.rollout import Next

ARN = "arn:aws:iot:eu-central-1:123456789012:thinggroup/vedette-main-canary"
VERSIONS = st.builds("{}.{}.{}".format, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
APPS = st.sampled_from(("ppe", "belt", "retail"))
COMPONENTS = st.sampled_from(("vedette.Inference", "vedette.Alerting", "aws.greengrass.Nucleus"))
APP = st.builds(
    ApplicationChoice,
    version=VERSIONS,
    bindings=st.dictionaries(st.sampled_from(("gate", "door")), st.just(("cam-1",)), max_size=2),
    parameters=st.dictionaries(st.sampled_from(("limit", "zone")), st.integers(0, 5), max_size=2),
)
COMPONENT = st.builds(
    ComponentChoice,
    version=VERSIONS,
    configuration=st.dictionaries(st.sampled_from(("logLevel", "threads")), st.integers(0, 3), max_size=2),
)
STATES = st.builds(
    DesiredState,
    fleet=st.just("main"),
    ring=st.just("canary"),
    version=st.integers(0, 50),
    components=st.dictionaries(COMPONENTS, COMPONENT),
    applications=st.dictionaries(APPS, APP),
)
CHANGES: st.SearchStrategy[Change] = st.builds(ApplicationChange, name=APPS, to=st.none() | APP) | st.builds(
    ComponentChange, to=st.dictionaries(COMPONENTS, st.none() | COMPONENT, min_size=1)
)


@given(STATES, CHANGES)
def test_undoing_gives_back_the_very_document(state: DesiredState, change: Change) -> None:
    after = applied(state, change)
    assert after.version == state.version + 1
    assert holds(after, change)
    back = applied(after, undoing(state, change))
    assert back.version == state.version + 2
    assert same(back, state)
    assert document(back) == document(state)


@given(STATES, CHANGES, CHANGES)
def test_undoing_leaves_another_operators_change_alone(state: DesiredState, mine: Change, other: Change) -> None:
    assume(subject(mine) != subject(other))
    both = applied(applied(state, mine), other)
    assert holds(both, mine)
    assert holds(both, other)
    assert same(applied(both, undoing(state, mine)), applied(state, other))
    assert same(both, applied(applied(state, other), mine))


@given(STATES)
def test_a_document_names_everything_the_ring_should_keep(state: DesiredState) -> None:
    said = deployment(state, ARN, watched=True)
    assert set(said["components"]) == {*state.components, *(f"vedette.app.{name}" for name in state.applications)}
    for name, choice in state.applications.items():
        entry = said["components"][f"vedette.app.{name}"]
        assert entry["componentVersion"] == choice.version
        assert entry["configurationUpdate"]["reset"] == [""]
        merged = json.loads(entry["configurationUpdate"]["merge"])
        assert merged["parameters"] == dict(choice.parameters)
        assert {k: tuple(v) for k, v in merged["bindings"].items()} == choice.bindings
    nucleus = said["components"].get("aws.greengrass.Nucleus", {})
    assert "reset" not in nucleus.get("configurationUpdate", {})


@given(STATES, st.randoms(use_true_random=False))
def test_a_document_depends_on_nothing_else(state: DesiredState, random: Any) -> None:
    names = list(state.applications)
    random.shuffle(names)
    shuffled = state.model_copy(update={"applications": {name: state.applications[name] for name in names}})
    assert json.dumps(deployment(state, ARN, watched=True)) == json.dumps(deployment(shuffled, ARN, watched=True))


@given(STATES, st.booleans())
def test_aws_would_take_the_document(state: DesiredState, watched: bool) -> None:
    """Against the service's own model."""
    with Stubber(GREENGRASS) as stub:
        stub.add_response("create_deployment", {"deploymentId": "d"})
        GREENGRASS.create_deployment(**deployment(state, ARN, watched=watched), clientToken="t")


@given(STATES)
def test_aws_stops_only_what_a_gate_looks_at(state: DesiredState) -> None:
    watched, alone = deployment(state, ARN, watched=True), deployment(state, ARN, watched=False)
    assert watched["iotJobConfiguration"].pop("abortConfig")["criteriaList"][0]["action"] == "CANCEL"
    assert watched == alone, "everything else is the same, the pace among it"


GREENGRASS = boto3.client(
    "greengrassv2", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
)


def document(state: DesiredState) -> dict[str, Any]:
    said = deployment(state, ARN, watched=True)
    return {key: value for key, value in said.items() if key != "deploymentName"}


@st.composite
def ring_counts(draw: st.DrawFn) -> RingCounts:
    devices = draw(st.integers(0, 20))
    offline = draw(st.integers(0, devices))
    succeeded = draw(st.integers(0, devices - offline))
    failed = draw(st.integers(0, devices - offline - succeeded))
    unhealthy = draw(st.integers(0, devices - offline))
    newly = draw(st.integers(0, unhealthy + offline))
    return RingCounts(
        devices=devices, offline=offline, succeeded=succeeded, failed=failed, unhealthy=unhealthy, newly_unwell=newly
    )


POLICIES = st.builds(
    GatePolicy,
    timeout_s=st.just(100),
    soak_s=st.integers(0, 99),
    least_succeeded=st.floats(0.01, 1.0),
    most_failed=st.floats(0.0, 1.0),
    most_newly_unwell=st.floats(0.0, 1.0),
    empty_ring_passes=st.booleans(),
)
TIMES = st.integers(0, 200)


@given(ring_counts(), POLICIES, TIMES, st.none() | TIMES)
def test_a_pass_has_evidence(counts: RingCounts, policy: GatePolicy, elapsed: int, settled: int | None) -> None:
    found = decide(counts, policy, elapsed_s=elapsed, settled_s=settled)
    if found.verdict is Verdict.PASS and counts.devices:
        assert counts.succeeded >= max(1, policy.least_succeeded * counts.online)
        assert counts.failed <= policy.most_failed * counts.online
        assert counts.newly_unwell <= policy.most_newly_unwell * counts.devices
        assert settled is not None
        assert settled >= policy.soak_s
    if counts.devices and counts.succeeded == 0:
        assert found.verdict is not Verdict.PASS
    if elapsed >= policy.timeout_s:
        assert found.verdict is not Verdict.WAIT
    if not counts.devices:
        assert (found.verdict is Verdict.PASS) is policy.empty_ring_passes


@given(ring_counts(), POLICIES, st.integers(0, 99), st.none() | TIMES)
def test_fewer_failures_and_complaints_never_make_it_worse(
    counts: RingCounts, policy: GatePolicy, elapsed: int, settled: int | None
) -> None:
    assume(counts.failed > 0)
    better = counts.model_copy(update={"failed": counts.failed - 1, "succeeded": counts.succeeded + 1})
    worse = decide(counts, policy, elapsed_s=elapsed, settled_s=settled)
    found = decide(better, policy, elapsed_s=elapsed, settled_s=settled)
    if worse.verdict is Verdict.PASS:
        assert found.verdict is Verdict.PASS


@given(ring_counts(), POLICIES, st.sampled_from(Verdict))
def test_another_measure_can_hold_up_or_fail_but_never_rescue(
    counts: RingCounts, policy: GatePolicy, other: Verdict
) -> None:
    assume(counts.devices)
    alone = decide(counts, policy, elapsed_s=50, settled_s=99)
    seen = decide(counts, policy, elapsed_s=50, settled_s=99, others=[Finding(other, "what the model sees")])
    assert {seen.verdict} <= {alone.verdict, other}
    if alone.verdict is not Verdict.PASS or other is not Verdict.PASS:
        assert seen.verdict is not Verdict.PASS


def test_reasons_are_for_people() -> None:
    policy = GatePolicy(soak_s=60, timeout_s=600)
    six = RingCounts(devices=10, offline=4, succeeded=5)
    waiting = decide(six, policy, elapsed_s=10, settled_s=None)
    assert (waiting.verdict, waiting.reason) == (Verdict.WAIT, "5 of 6 devices run the change, 6 are needed")
    late = decide(six, policy, elapsed_s=600, settled_s=None)
    assert late == Finding(Verdict.UNDECIDED, f"not enough evidence after 600 s: {waiting.reason}")


def test_a_policy_that_can_never_pass_is_refused() -> None:
    with pytest.raises(ValueError, match=r"soak_s \(600\) must be less than timeout_s \(600\)"):
        GatePolicy(soak_s=600, timeout_s=600)


def test_a_rollout_goes_ring_by_ring_and_is_taken_back_from_the_end() -> None:
    change = ApplicationChange(name="ppe", to=ApplicationChoice(version="2.0.0"))
    policy = GatePolicy(soak_s=0, timeout_s=100)
    one = progress.planned(
        rollout_id="r-0000001", fleet="main", rings=("canary", "rest"), change=change, policy=policy, by="me", now_s=0
    )
    undo = ApplicationChange(name="ppe", to=ApplicationChoice(version="1.0.0"))
    good = RingCounts(devices=2, succeeded=2)
    one = progress.begun(one, "canary", undo=undo, before={}, now_s=1)
    assert [step.ring for step in progress.to_restore(one)] == ["canary"]
    one = progress.deployed(one, "canary", version=2, deployment_id="d1", now_s=1)
    one, following = progress.checked(one, "canary", RingCounts(devices=2), now_s=2)
    assert following is Next.WAIT
    one, following = progress.checked(one, "canary", good, now_s=3)
    assert following is Next.BEGIN
    one = progress.begun(one, "rest", undo=undo, before={}, now_s=4)
    one, following = progress.checked(one, "rest", RingCounts(devices=2, failed=1), now_s=5)
    assert following is Next.ROLL_BACK
    assert one.reason == "ring rest: 1 of 2 devices could not take the change"
    assert [step.ring for step in progress.to_restore(one)] == ["rest", "canary"]
    for step in progress.to_restore(one):
        one = progress.restored(one, step.ring, version=9, deployment_id="d9", now_s=6)
    assert progress.to_restore(one) == []
    ended = progress.ended(one, RolloutStatus.ROLLED_BACK, now_s=7)
    assert ended.reason == one.reason
    assert {step.status for step in ended.rings} == {RingStatus.RESTORED}


NOW = 1_800_000_000
VIEWS = st.builds(
    DeviceView,
    ring=st.just("canary"),
    last_seen_s=st.sampled_from([None, NOW - 10.0, NOW - 3600.0]),
    connected=st.sampled_from([None, True, False]),
    conditions=st.sampled_from([(), (Condition.HOT,), (Condition.CAMERA_DOWN,), (Condition.HOT, Condition.DISK_LOW)]),
)
RINGS = st.dictionaries(st.sampled_from("abcdefgh"), VIEWS)


def summed(ring: Mapping[str, DeviceView]) -> RingSummary:
    tally = RingTally()
    for thing in sorted(ring):
        tally.add(thing, ring[thing], NOW)
    return tally.summary(NOW, len(ring))


def known(device: DeviceView) -> set[Condition]:
    """What is wrong with a device; one that never told and is not there is as one that is offline."""
    if device.last_seen_s is None and not device.connected:
        return {Condition.OFFLINE}
    return set(standing(device, NOW))


@given(RINGS, RINGS)
def test_newly_unwell_is_who_has_something_that_he_had_not(
    before: dict[str, DeviceView], now: dict[str, DeviceView]
) -> None:
    found = counted(summed(now), JobCounts(), unwell(summed(before)))
    expected = 0
    for thing, device in now.items():
        had = known(before[thing]) if thing in before else set()
        if Condition.OFFLINE not in had and not set(standing(device, NOW)) <= had:
            expected += 1
    assert found.newly_unwell == expected
    assert found.devices == len(now)
    assert found.unhealthy <= found.online == sum(Condition.OFFLINE not in known(one) for one in now.values())
    assert counted(summed(now), JobCounts(), unwell(summed(now))).newly_unwell == 0


@given(RINGS, st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_answers_of_a_job_never_make_silent_devices_evidence(
    ring: dict[str, DeviceView], succeeded: int, failed: int, busy: int
) -> None:
    job = JobCounts(succeeded=succeeded, failed=failed, in_progress=busy)
    alone, found = counted(summed(ring), JobCounts(), {}), counted(summed(ring), job, {})
    assert found.succeeded <= found.online <= found.devices
    assert found.failed == failed, "one that refused has said so, and may be gone since"
    told = sum(one.last_seen_s is not None or bool(one.connected) for one in ring.values())
    assert found.online <= alone.online + max(0, job.answered - told)
    if job.answered <= told:
        assert found.online == alone.online


def test_a_ring_that_was_never_counted_is_not_an_empty_one() -> None:
    found = counted(None, JobCounts(), {})
    assert decide(found, GatePolicy(), elapsed_s=9, settled_s=None).verdict is Verdict.WAIT
    assert counted(None, JobCounts(succeeded=3), {}).online == 3


def test_more_unwell_devices_than_are_remembered_count_as_well_before() -> None:
    hot = DeviceView(ring="canary", last_seen_s=NOW - 1.0, conditions=(Condition.HOT,))
    many = summed({f"cam-{number:04}": hot for number in range(MAX_UNWELL + 5)})
    assert len(unwell(many)) == len(many.wrong) == MAX_UNWELL
    assert counted(many, JobCounts(), unwell(many)).newly_unwell == 5


def test_a_summary_of_the_worst_ring_fits_an_item() -> None:
    every = tuple(one for one in Condition if one is not Condition.OFFLINE)
    worst = DeviceView(ring="canary", last_seen_s=NOW - 1.0, conditions=every)
    things = {f"{'x' * 58}{number:06}": worst for number in range(3_000)}
    things |= {f"{'y' * 58}{number:06}": DeviceView(ring="canary") for number in range(3_000)}
    assert len(summed(things).model_dump_json().encode()) < 350_000


def test_counters_of_a_job_are_read_as_aws_writes_them() -> None:
    names = ("Canceled", "Succeeded", "Failed", "Rejected", "Queued", "InProgress", "Removed", "TimedOut")
    details = {f"numberOf{name}Things": 10**at for at, name in enumerate(names)}
    found = job_counts({**details, "processingTargets": ["group"]})
    assert found == JobCounts(succeeded=10, failed=10_001_101, in_progress=100_000, queued=10_000)
    assert found.answered == 10_101_111
    assert job_counts({}) == JobCounts()
    assert one_device(None).answered == one_device("QUEUED").answered == 0
    assert one_device("COMPLETED").succeeded == one_device("REJECTED").failed == 1
