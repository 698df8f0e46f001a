"""The stage before a change: reports come in by the queue, the first ring's are judged, and nothing is left behind."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.common import runtime
from lambdas.common.comparisons import read_comparison
from lambdas.comparison.handler import ComparisonBook
from tests.cloud.functions_account import failed, sqs, throttled
from tests.cloud.test_rollout_functions import ARNS, POLICY, Account, account
from vedette.contracts.comparison import (
    MAX_DEVICES,
    MAX_LABELS,
    Agreement,
    Comparison,
    ComparisonReport,
    GoldenClips,
)
from vedette.core.fleet.comparison_book import MAX_BYTES, noted, size

__all__ = ["account"]

NUCLEUS = {"aws.greengrass.Nucleus": "2.14.3"}
COMPARED = {**POLICY, "comparison": {"frames": 500, "timeout_s": 300}}


@pytest.fixture
def site(account: Account) -> Account:
    """Every ring runs 1.0.0 of an application whose versions can be compared."""
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        account.greengrass.components[f"{ARNS}vedette.candidate.ppe:versions:{version}"] = "DEPLOYABLE"
    account.start("ppe", "1.0.0", "rollout-1")
    account.drive("rollout-1")
    return account


def book(account: Account) -> ComparisonBook:
    return ComparisonBook(account.dynamodb, "rollouts", "devices", runtime.logger("comparison"))


def message(account: Account, thing: str = "canary-1", share: float = 1.0, **more: Any) -> dict[str, Any]:
    seen = {"running_objects": 60, "running_seen": 60 * share, "new_objects": 60, "new_seen": 60.0}
    return {
        "time": datetime.fromtimestamp(account.now, UTC).isoformat(),
        "device": thing,
        "rollout_id": "rollout-2",
        "application": "ppe",
        "version": "2.0.0",
        "against": "1.0.0",
        "done": True,
        "frames": 500,
        "labels": {"person": seen},
        "golden": {"total": 1},
        "thing": thing,
        **more,
    }


def tell(account: Account, *messages: Any) -> set[str]:
    """Deliver; the numbers of those that have to come again."""
    return failed(book(account).work(sqs((str(n), one, account.now * 1000) for n, one in enumerate(messages))))


def kept(account: Account) -> Comparison:
    return read_comparison(account.dynamodb, "rollouts", "rollout-2")[0]


def begin(account: Account, **more: Any) -> None:
    assert "rollout" in account.start("ppe", "2.0.0", "rollout-2", **({"policy": COMPARED} | more))
    assert account.step("begin", "rollout-2") == "wait"


def test_both_versions_run_until_they_see_the_same(site: Account) -> None:
    begin(site)
    both = {**NUCLEUS, "vedette.app.ppe": "1.0.0", "vedette.candidate.ppe": "2.0.0"}
    assert site.greengrass.running("canary") == both
    merged = site.greengrass.deployments[-1]["components"]["vedette.candidate.ppe"]["configurationUpdate"]["merge"]
    assert json.loads(merged)["task"]["rollout_id"] == "rollout-2"
    assert json.loads(merged)["bindings"] == {"gate": ["cam-1"]}
    assert site.step("check", "rollout-2") == "wait"
    assert site.status("rollout-2")["rings"][0]["status"] == "comparing"
    assert tell(site, message(site)) == set()
    assert site.step("check", "rollout-2") == "begin"
    assert site.greengrass.running("canary") == both, "nothing changes before it is written down"
    said = site.drive("rollout-2")
    assert [one for one in said if one.startswith("begin")] == ["begin→wait"] * 3
    assert said[-1] == "finish→done"
    for ring in ("canary", "early", "rest"):
        assert site.greengrass.running(ring) == {**NUCLEUS, "vedette.app.ppe": "2.0.0"}
    first, second, _ = site.status("rollout-2")["rings"]
    assert first["compared"]["verdict"] == "pass"
    assert first["compared"]["overall"]["running_objects"] == 60
    assert second["compared"] is None
    what = [event["what"] for event in site.machine.told if event["rollout_id"] == "rollout-2"]
    assert what[:4] == ["comparing", "compared", "deploying", "passed"]


def test_one_that_sees_less_is_gone_without_an_alert(site: Account) -> None:
    before = site.greengrass.deployments[0]
    begin(site)
    tell(site, message(site, share=0.5))
    assert site.step("check", "rollout-2") == "roll-back"
    assert site.step("roll-back", "rollout-2") == "done"
    ended = site.status("rollout-2")
    assert ended["reason"].startswith("ring canary: of 60 objects that 1.0.0 followed, 2.0.0 saw 50 % (at most")
    assert [ring["status"] for ring in ended["rings"]] == ["restored", "waiting", "waiting"]
    compared, restored = site.greengrass.deployments[-2:]
    own = dict.fromkeys(("clientToken", "deploymentName", "iotJobConfiguration"))
    assert restored | own == before | own
    stopped = ["abortConfig" in one["iotJobConfiguration"] for one in (compared, restored)]
    assert stopped == [True, False], "AWS may stop what the gate looks at"
    every = [one["components"] for one in site.greengrass.deployments]
    assert not any(one.get("vedette.app.ppe", {}).get("componentVersion") == "2.0.0" for one in every)


def test_silence_is_no_pass(site: Account) -> None:
    begin(site)
    said = site.drive("rollout-2")
    assert said[-1] == "roll-back→done"
    assert site.status("rollout-2")["reason"] == "ring canary: no device has told what both versions see"
    assert len(said) == 2 + (300 + 900) // 60


def test_one_that_devices_cannot_take_is_taken_back(site: Account) -> None:
    begin(site)
    site.greengrass.broken = {("vedette.candidate.ppe", "2.0.0")}
    assert site.step("check", "rollout-2") == "roll-back"
    assert "1 of 1 devices could not take the new version beside" in site.status("rollout-2")["rings"][0]["reason"]


def test_what_cannot_be_compared_is_refused_at_the_start(account: Account) -> None:
    refused = account.start("ppe", "2.0.0", "rollout-2", policy=COMPARED)["refused"]
    assert refused["message"] == "component vedette.candidate.ppe 2.0.0 is not in the account."
    assert "Publish the version again" in refused["hint"]
    change = {"kind": "application", "name": "ppe", "to": {"version": "2.0.0"}}
    assert "refused" in account.ask(action="plan", fleet="main", change=change, compare=True)
    assert "plan" in account.ask(action="plan", fleet="main", change=change)
    long = {**COMPARED, "comparison": {"timeout_s": 604_800}}
    assert "with the comparison are" in account.start("ppe", "1.0.0", "rollout-2", policy=long)["refused"]["message"]


def test_the_first_ring_with_devices_compares(site: Account) -> None:
    site.dynamodb.delete_item(TableName="devices", Key={"thing": {"S": "canary-1"}})
    site.greengrass.things.discard("canary-1")
    site.now += 60
    begin(site)
    assert site.greengrass.running("canary")["vedette.app.ppe"] == "2.0.0"
    while site.step("check", "rollout-2") == "wait":
        site.now += 60
    assert site.step("begin", "rollout-2") == "wait"
    assert site.greengrass.running("early")["vedette.candidate.ppe"] == "2.0.0"
    tell(site, message(site, "early-1"))
    assert site.step("check", "rollout-2") == "wait", "another device of the ring is there"
    tell(site, message(site, "early-2"))
    assert site.step("check", "rollout-2") == "begin"


def test_nothing_is_compared_where_nothing_changes_or_something_goes(site: Account) -> None:
    begin(site)
    site.ask(action="abort", rollout_id="rollout-2", by="anna")
    site.drive("rollout-2")
    assert site.greengrass.running("canary") == {**NUCLEUS, "vedette.app.ppe": "1.0.0"}
    for rollout_id, version in (("rollout-3", "1.0.0"), ("rollout-4", None)):
        assert "rollout" in site.start("ppe", version, rollout_id, policy=COMPARED)
        site.drive(rollout_id)
        assert site.status(rollout_id)["status"] == "succeeded"
        assert all(ring["compared"] is None for ring in site.status(rollout_id)["rings"])


@pytest.mark.parametrize("moment", ["before the candidate", "before the change"])
def test_a_step_that_breaks_off_is_repeated_without_harm(site: Account, moment: str) -> None:
    assert "rollout" in site.start("ppe", "2.0.0", "rollout-2", policy=COMPARED)
    if moment == "before the change":
        assert site.step("begin", "rollout-2") == "wait"
        tell(site, message(site))
        assert site.step("check", "rollout-2") == "begin"
    site.greengrass.failure = throttled("CreateDeployment")
    with pytest.raises(Exception, match="Throttling"):
        site.step("begin", "rollout-2")
    site.step("roll-back", "rollout-2", error={"Error": "Boom", "Cause": "x"})
    assert site.greengrass.running("canary") == {**NUCLEUS, "vedette.app.ppe": "1.0.0"}
    newest = site.ask(action="desired", fleet="main")["desired"]["states"][0]
    assert newest["applications"]["ppe"]["version"] == "1.0.0"
    assert newest["candidates"] == {}


def test_a_check_after_a_crash_makes_the_deployment_good(site: Account) -> None:
    begin(site)
    tell(site, message(site))
    assert site.step("check", "rollout-2") == "begin"
    assert site.step("check", "rollout-2") == "wait"  # as if the first answer had been lost
    assert site.greengrass.running("canary") == {**NUCLEUS, "vedette.app.ppe": "2.0.0"}


def test_somebody_who_changes_the_application_meanwhile_ends_it(site: Account) -> None:
    begin(site)
    newest = max(
        (one for one in site.dynamodb.scan(TableName="desired")["Items"] if one["ring"]["S"] == "main/canary"),
        key=lambda one: int(one["version"]["N"]),
    )
    version = int(newest["version"]["N"]) + 1
    state = json.loads(newest["state"]["S"]) | {"version": version, "candidates": {}}
    site.dynamodb.put_item(
        TableName="desired", Item={**newest, "version": {"N": str(version)}, "state": {"S": json.dumps(state)}}
    )
    tell(site, message(site))
    assert site.step("check", "rollout-2") == "roll-back"
    assert "somebody else" in site.status("rollout-2")["reason"]


def test_reports_in_any_order_and_twice_leave_the_newest(site: Account) -> None:
    begin(site)
    messages = []
    for n in range(12):
        at = datetime.fromtimestamp(site.now - 60 + n, UTC).isoformat()
        messages.append(message(site, time=at, frames=n, done=n == 11))
    random.Random(3).shuffle(messages)
    for one in [*messages, *messages[:5]]:
        assert tell(site, one) == set()
    (report,) = kept(site).reports.values()
    assert (report.frames, report.done) == (11, True)


def test_a_clock_that_is_ahead_does_not_keep_out_what_is_right(site: Account) -> None:
    begin(site)
    tell(site, message(site, time="2099-01-01T00:00:00Z", frames=1))
    site.now += 60
    tell(site, message(site, frames=2))
    assert kept(site).reports["canary-1"].frames == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"rollout_id": "rollout-9"},
        {"rollout_id": "rollout-1"},
        {"application": "belt"},
        {"version": "3.0.0"},
        {"device": "early-1", "thing": "early-1"},
        {"device": "nobody", "thing": "nobody"},
    ],
)
def test_reports_of_nothing_that_is_compared_are_dropped(site: Account, changes: dict[str, Any]) -> None:
    begin(site)
    assert tell(site, message(site, **changes)) == set()
    assert kept(site).reports == {}
    assert kept(site).rollout_id == "rollout-2"


def test_a_device_speaks_for_itself_alone(site: Account) -> None:
    begin(site)
    forged = message(site, thing="early-1") | {"device": "canary-1"}
    assert tell(site, forged, message(site)) == {"0"}
    assert list(kept(site).reports) == ["canary-1"]
    assert tell(site, "no JSON", {**message(site), "more": 1}, {"thing": "canary-1"}) == {"0", "1", "2"}


def test_what_comes_after_the_decision_changes_nothing(site: Account) -> None:
    begin(site)
    tell(site, message(site))
    site.step("check", "rollout-2")
    site.now += 60
    tell(site, message(site, share=0.1))
    assert kept(site).reports["canary-1"].labels["person"].running_seen == 60


def test_two_that_write_at_once_lose_nothing(site: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    site.device("canary-2")
    begin(site)
    put = site.dynamodb.put_item
    raced: list[bool] = []

    def meanwhile(**request: Any) -> Any:
        if not raced:
            raced.append(True)
            tell(site, message(site, "canary-2"))
        return put(**request)

    monkeypatch.setattr(site.dynamodb, "put_item", meanwhile)
    assert tell(site, message(site)) == set()
    assert sorted(kept(site).reports) == ["canary-1", "canary-2"]


def test_the_item_ends_by_itself(site: Account) -> None:
    begin(site)
    tell(site, message(site))
    item = site.dynamodb.get_item(TableName="rollouts", Key={"rollout_id": {"S": "comparison/rollout-2"}})["Item"]
    assert int(item["expires"]["N"]) == site.now + 30 * 86400
    assert [one["rollout_id"] for one in site.ask(action="list", fleet="main")["list"]["rollouts"]] == [
        "rollout-2",
        "rollout-1",
    ]


def test_the_worst_reports_fit_an_item_and_lose_no_object() -> None:
    seen = Agreement(running_objects=99_999, running_seen=12345.678901, new_objects=99_999, new_seen=12345.678901)
    comparison, objects = Comparison(rollout_id="r" * 64), 0
    for number in range(MAX_DEVICES + 20):
        report = ComparisonReport(
            time=datetime(2026, 1, 1, tzinfo=UTC),
            device=f"{'x' * 60}{number:04}",
            rollout_id="r" * 64,
            application="a" * 64,
            version="100000.100000.100000",
            against="100000.100000.100000",
            done=True,
            labels={f"{'l' * 300}{n}": seen for n in range(MAX_LABELS + 1)},
            golden=GoldenClips(total=9, failed=8, failures=("é" * 200,) * 8),
            problem="\u0001" * 400,
        )
        after = noted(comparison, report)
        if after is not None:
            comparison, objects = after, objects + 99_999 * (MAX_LABELS + 1)
        assert size(comparison) <= MAX_BYTES
    assert len(comparison.reports) == MAX_DEVICES
    told = sum(one.running_objects for each in comparison.reports.values() for one in each.labels.values())
    assert told == objects
