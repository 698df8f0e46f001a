"""What a rollout judges a ring by: counts that are new enough, the newest deployment's job, one device by itself."""

from __future__ import annotations

from typing import Any

import pytest

from lambdas.common import fleet_view, ring_look, runtime
from tests.cloud.test_rollout_functions import ARNS, POLICY, Account, account, throttled
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.rollout import GatePolicy, RingStep

__all__ = ["account"]


def test_a_ring_is_not_begun_before_it_was_counted(account: Account) -> None:
    account.counts.clock, account.counts.deaf = False, True
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    assert account.step("begin", "rollout-1") == "wait"
    assert account.greengrass.deployments == []
    account.counts.deaf = False
    assert account.step("check", "rollout-1") == "wait"  # asks once more, and this time it is heard
    assert account.greengrass.deployments == []
    assert account.step("check", "rollout-1") == "wait"
    assert len(account.greengrass.deployments) == 1
    assert account.drive("rollout-1")[-1] == "finish→done"


def test_a_ring_that_nobody_counts_is_never_begun(account: Account) -> None:
    account.counts.clock, account.counts.deaf = False, True
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    assert account.drive("rollout-1")[-1] == "roll-back→done"
    assert account.status("rollout-1")["reason"] == "ring early: its devices were not counted within 600 s"
    assert account.greengrass.deployments == []


def test_an_old_count_is_no_evidence(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    account.step("begin", "rollout-1")
    account.counts.clock, account.counts.deaf = False, True
    said = account.drive("rollout-1")
    assert said[-1] == "roll-back→done"
    assert "the devices have not been counted since the soak was over" in account.status("rollout-1")["reason"]


def test_who_breaks_after_the_last_count_is_seen_by_the_next(account: Account) -> None:
    account.counts.clock = False
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    account.counts.count()
    account.step("begin", "rollout-1")
    account.step("check", "rollout-1")
    account.now += 120
    account.device("early-2", conditions={"S": "camera_down"}, last_seen_ms={"N": str(account.now * 1000)})
    assert account.step("check", "rollout-1") == "wait"
    assert account.counts.asked == 1
    assert account.step("check", "rollout-1") == "roll-back"


def test_a_large_fleet_is_not_counted_on_request(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambdas.common.ring_look.SMALL_FLEET", 3)
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    said = account.drive("rollout-1")
    assert said[-1] == "finish→done"
    assert account.counts.asked == 0


def test_a_job_that_was_cancelled_for_another_deployment_says_nothing(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    account.greengrass.pending = {"early-1", "early-2"}
    account.step("begin", "rollout-1")
    describe = account.greengrass.describe_job

    def meanwhile(**request: Any) -> dict[str, Any]:
        latest = account.greengrass.deployments[-1]
        account.greengrass.deployments.append({**latest, "clientToken": "somebody else"})
        return describe(**request)

    monkeypatch.setattr(account.greengrass, "describe_job", meanwhile)
    assert account.step("check", "rollout-1") == "wait"
    assert account.status("rollout-1")["rings"][0]["counts"]["failed"] == 0


def test_one_that_refused_and_is_gone_has_refused(account: Account) -> None:
    account.greengrass.broken = {("vedette.app.ppe", "1.0.0")}
    account.device("early-1", last_seen_ms={"N": str((account.now - 900) * 1000)})
    account.device("early-2", last_seen_ms={"N": str((account.now - 900) * 1000)})
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    assert account.step("begin", "rollout-1") == "wait"
    assert account.step("check", "rollout-1") == "roll-back"


def test_an_application_has_a_log_group_before_its_devices_write(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    account.step("begin", "rollout-1")
    (group,) = account.logs.describe_log_groups()["logGroups"]
    assert group["logGroupName"] == "/aws/greengrass/UserComponent/eu-central-1/vedette.app.ppe"
    assert group["retentionInDays"] == 30
    assert group["kmsKeyId"] == "arn:aws:kms:eu-central-1:123456789012:key/logs"
    account.logs.put_retention_policy(logGroupName=group["logGroupName"], retentionInDays=7)
    account.step("roll-back", "rollout-1")
    account.start("ppe", "2.0.0", "rollout-2", rings=["early"])
    account.step("begin", "rollout-2")
    (group,) = account.logs.describe_log_groups()["logGroups"]
    assert group["retentionInDays"] == 7, "what an operator chose stays"


def test_a_candidate_has_one_too(account: Account) -> None:
    account.greengrass.components[f"{ARNS}vedette.candidate.ppe:versions:1.0.0"] = "DEPLOYABLE"
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"], policy={**POLICY, "comparison": {}})
    account.step("begin", "rollout-1")
    names = [group["logGroupName"].rpartition("/")[2] for group in account.logs.describe_log_groups()["logGroups"]]
    assert names == ["vedette.app.ppe", "vedette.candidate.ppe"]


def test_a_log_group_that_cannot_be_made_stops_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> None:
        raise throttled("CreateLogGroup")

    monkeypatch.setattr(account.logs, "create_log_group", refused)
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    assert account.step("begin", "rollout-1") == "wait"


def test_a_ring_that_is_one_device_is_judged_by_that_device(account: Account) -> None:
    chosen, policy = runtime.settings(RolloutSettings), GatePolicy(soak_s=0, timeout_s=60)
    ring, now = "thing/early-1", account.now
    account.device("early-1", conditions={"S": "hot"}, last_seen_ms={"N": str(now * 1000)})
    found = ring_look.before(chosen, "main", ring, now_s=now)
    assert found is not None
    was, devices = found
    assert (was, devices) == ({"early-1": ("hot",)}, 1)
    target = fleet_view.target(chosen, "main", ring)
    assert target == "arn:aws:iot:eu-central-1:123456789012:thing/early-1"
    step = RingStep(ring=ring, began_at=now, unwell_before=was)
    for pending, broken, expected in ((True, False, (0, 0)), (False, False, (1, 0)), (False, True, (0, 1))):
        account.greengrass.pending = {"early-1"} if pending else set()
        account.greengrass.broken = {("vedette.app.ppe", "1.0.0")} if broken else set()
        account.greengrass.create_deployment(
            targetArn=target, clientToken=str(expected), components={"vedette.app.ppe": {"componentVersion": "1.0.0"}}
        )
        counts, unsure = ring_look.look(chosen, "main", step, policy, now_s=now)
        assert (counts.succeeded, counts.failed) == expected
        assert (counts.devices, counts.online, counts.newly_unwell, unsure) == (1, 1, 0, ())
    account.device("early-1", conditions={"S": "hot,camera_down"}, last_seen_ms={"N": str(now * 1000)})
    assert ring_look.look(chosen, "main", step, policy, now_s=now)[0].newly_unwell == 1
    assert account.counts.asked == 0
