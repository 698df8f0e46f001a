"""A fleet of a size beside quotas: more devices never ask for less, and what does not depend on them does not."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.cli.main import main
from vedette.contracts.fleet_metrics import metric_count
from vedette.contracts.rollout import GatePolicy
from vedette.contracts.scale import Fit, ScaleInputs
from vedette.core.fleet.document import FIRST_RATE, MAX_RATE
from vedette.core.scale.loads import loads
from vedette.core.scale.plan import scale_plan
from vedette.core.scale.quotas import QUOTAS
from vedette.core.scale.rollout import CALLS_PER_CHECK, ring_time, told_after_s

INPUTS = st.builds(
    ScaleInputs,
    devices=st.integers(1, 500_000),
    cameras=st.integers(1, 64),
    alerts_per_camera_day=st.floats(0, 2_000),
    insights=st.integers(0, 8),
    outage_devices=st.floats(0.01, 1),
)


@given(INPUTS, st.integers(1, 500_000))
def test_more_devices_never_ask_for_less(inputs: ScaleInputs, more: int) -> None:
    larger = inputs.model_copy(update={"devices": inputs.devices + more})
    before, after = scale_plan(inputs), scale_plan(larger)
    order = [Fit.FITS, Fit.INCREASE, Fit.NO]
    for small, large in zip(before.rows, after.rows, strict=True):
        assert (small.area, small.what, small.reached_at) == (large.area, large.what, large.reached_at)
        assert small.value <= large.value
        if small.fit is not Fit.UNKNOWN:
            assert order.index(small.fit) <= order.index(large.fit)
    assert before.rollout.artefact_gb < after.rollout.artefact_gb
    assert before.rollout.calls_per_check == after.rollout.calls_per_check == CALLS_PER_CHECK
    assert (before.metrics, before.alarms) == (after.metrics, after.alarms)


@given(INPUTS)
def test_a_quota_is_reached_where_it_is_said_to_be(inputs: ScaleInputs) -> None:
    for load, row in zip(loads(inputs), scale_plan(inputs).rows, strict=False):
        if row.reached_at is None or row.quota is None:
            continue
        assert load.value(row.reached_at) >= row.quota * (1 - 1e-9)
        if row.reached_at > 1:
            assert load.value(row.reached_at - 1) < row.quota * (1 + 1e-9)


@given(st.integers(1, 200_000), st.integers(1, 50_000))
def test_more_devices_are_told_later_and_never_faster_than_the_greatest_rate(devices: int, more: int) -> None:
    assert told_after_s(devices) <= told_after_s(devices + more)
    assert told_after_s(devices) >= devices / MAX_RATE * 60
    assert told_after_s(devices) <= math.ceil(devices / FIRST_RATE) * 60


@given(st.integers(0, 100_000))
def test_checks_of_a_ring_follow_its_time(devices: int) -> None:
    policy = GatePolicy()
    one = ring_time("rest", devices, policy)
    assert (one.checks - 1) * policy.check_every_s <= one.passed_after_s <= one.checks * policy.check_every_s
    assert one.fits_limit == (one.passed_after_s < policy.timeout_s)


def test_every_quota_has_a_source_and_is_used() -> None:
    used = {load.quota for load in loads(ScaleInputs())} | {"iot_job_rate"}
    assert used == set(QUOTAS)
    for name, quota in QUOTAS.items():
        assert quota.source, name
        assert (quota.value is None) == ("no page found" in quota.source or "was not" in quota.source), name


def test_ten_thousand_devices_of_eight_cameras_fit() -> None:
    found = scale_plan(ScaleInputs())
    assert {row.fit for row in found.rows} == {Fit.FITS, Fit.UNKNOWN}
    assert sum(ring.devices for ring in found.rollout.rings) == 10_000
    assert all(ring.fits_limit for ring in found.rollout.rings)
    assert found.metrics == metric_count(3)


def ran(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *arguments])
    return ended.value.code


def test_machines_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--devices", "100000", "--insights", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    rows = {(row["area"], row["what"]): row for row in found["rows"]}
    index = rows["Amazon DynamoDB", "its index by fleet, writes to one fleet"]
    assert (index["fit"], index["reached_at"]) == ("does not fit", 30_000)
    assert "several fleets" in index["advice"]
    assert all(row["source"] for row in found["rows"])


def test_people_read_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--devices", "200000") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "ask for an increase in Service Quotas" in said
    assert "set timeout_s, or divide the ring" in said
    assert "no source was found for the quota of: " in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--devices", "0"], "--devices"),
        (["--analysed-fps", "-1"], "--analysed-fps"),
        (["--rings", "a=0.5,b=0.4"], "the shares of the rings are 0.9 together and must be 1"),
        (["--rings", "a"], "'a' is no ring with its share"),
        (["--rings", "a=0.5,a=0.5"], "names one again"),
        (["--rings", "a=nan"], "--rings"),
        (["--rings", "a=x"], "'a=x' is no ring"),
    ],
)
def test_a_mistake_names_its_option(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(*arguments) == 1
    assert said in capsys.readouterr().err
