"""Rollouts to one device, what is taken back, what every ring should run, what was passed over."""

from __future__ import annotations

from typing import Any

import pytest

from lambdas.common import own_devices
from tests.cloud.test_rollout_functions import Account, account
from tests.cloud.test_rollouts_client import Outside
from vedette.adapters.aws.rollouts import Rollouts
from vedette.contracts.errors import CloudError
from vedette.contracts.rollout import ApplicationChange, ApplicationChoice, GatePolicy, Override

__all__ = ["account"]

EARLY = "thing/early-1"
POLICY = GatePolicy(check_every_s=60, soak_s=120, timeout_s=600)


def to_device(account: Account, thing: str) -> list[dict[str, str]]:
    """What each deployment to one device named."""
    return [
        {name: one["componentVersion"] for name, one in request["components"].items()}
        for request in account.greengrass.deployments
        if request["targetArn"].endswith(f":thing/{thing}")
    ]


def desired(account: Account) -> dict[str, dict[str, str]]:
    """Ring → application → version."""
    states = account.ask(action="desired", fleet="main")["desired"]["states"]
    return {one["ring"]: {name: app["version"] for name, app in one["applications"].items()} for one in states}


def test_one_device_gets_an_application_of_its_own(account: Account) -> None:
    assert account.start("ppe", "1.0.0", "rollout-1", rings=[EARLY])["rollout"]["rings"][0]["ring"] == EARLY
    account.drive("rollout-1")
    assert account.status("rollout-1")["status"] == "succeeded"
    assert to_device(account, "early-1") == [{"vedette.app.ppe": "1.0.0"}]
    assert "iotJobConfiguration" not in account.greengrass.deployments[-1]
    assert account.status("rollout-1")["rings"][0]["counts"]["devices"] == 1
    assert desired(account) == {"canary": {}, "early": {}, "rest": {}, EARLY: {"ppe": "1.0.0"}}
    account.start("ppe", None, "rollout-2", rings=[EARLY])
    account.drive("rollout-2")
    assert to_device(account, "early-1")[-1] == {}
    assert desired(account) == {"canary": {}, "early": {}, "rest": {}}


def test_a_device_that_cannot_take_it_is_given_back_what_it_ran(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=[EARLY])
    account.drive("rollout-1")
    account.greengrass.broken = {("vedette.app.ppe", "2.0.0")}
    account.start("ppe", "2.0.0", "rollout-2", rings=[EARLY])
    account.drive("rollout-2")
    assert account.status("rollout-2")["reason"] == f"ring {EARLY}: 1 of 1 devices could not take the change"
    assert to_device(account, "early-1")[-1] == {"vedette.app.ppe": "1.0.0"}


@pytest.mark.parametrize(
    ("rings", "message"),
    [
        (["thing/nobody"], "fleet 'main' has no device 'nobody'"),
        ([EARLY, "canary"], "for rings of a fleet, or for one device"),
        ([EARLY, "thing/rest-1"], "for rings of a fleet, or for one device"),
        (["thing/a/b"], "the request is not usable"),
    ],
)
def test_devices_that_there_are_not(account: Account, rings: list[str], message: str) -> None:
    refused = account.start("ppe", "1.0.0", "rollout-1", rings=rings)["refused"]
    assert refused["code"] == "V009"
    assert message in refused["message"]


def test_components_below_come_with_the_ring(account: Account) -> None:
    change = {"kind": "components", "to": {"aws.greengrass.Nucleus": {"version": "2.15.0"}}}
    refused = account.ask(action="plan", fleet="main", change=change, rings=[EARLY])["refused"]
    assert "gets the components below its applications with its ring" in refused["message"]


def test_no_device_gets_an_application_twice(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    account.drive("rollout-1")
    refused = account.start("ppe", "2.0.0", "rollout-2", rings=[EARLY])["refused"]
    assert refused["code"] == "V009"
    assert "device 'early-1' has application 'ppe' from its ring 'early': AWS refuses" in refused["message"]
    assert "rollout" in account.start("ppe", "2.0.0", "rollout-3", rings=["thing/rest-1"]), "its ring does not run it"
    account.drive("rollout-3")
    refused = account.start("ppe", "2.0.0", "rollout-4")["refused"]
    assert "of ring 'rest' 'rest-1' run application 'ppe' on their own: AWS refuses" in refused["message"]
    assert "rollout" in account.start("ppe", "2.0.0", "rollout-5", rings=["canary", "early"])
    account.drive("rollout-5")
    account.dynamodb.delete_item(TableName="devices", Key={"thing": {"S": "rest-1"}})
    assert "rollout" in account.start("ppe", "2.0.0", "rollout-6"), "one that is gone is in nobody's way"


def test_what_comes_in_between_is_seen_when_the_ring_begins(account: Account) -> None:
    """The plan was made before the device got its own; the step looks again while no other of the same may begin."""
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    own_devices.note(runtime_settings(), "main", "early-1", ["ppe"])
    assert account.step("begin", "rollout-1") == "roll-back"
    account.step("roll-back", "rollout-1")
    assert "run application 'ppe' on their own" in account.status("rollout-1")["reason"]
    assert account.greengrass.deployments == []


def test_so_many_devices_and_no_more(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_devices, "MAX_OWN_DEVICES", 2)
    for thing in ("early-1", "early-2"):
        account.start("ppe", "1.0.0", f"rollout-{thing}", rings=[f"thing/{thing}"])
        account.drive(f"rollout-{thing}")
    refused = account.start("ppe", "1.0.0", "rollout-3", rings=["thing/rest-1"])["refused"]
    assert "2 devices of fleet 'main' have applications of their own, which is as many as may" in refused["message"]
    account.dynamodb.delete_item(TableName="devices", Key={"thing": {"S": "early-2"}})
    assert "rollout" in account.start("ppe", "1.0.0", "rollout-3", rings=["thing/rest-1"])


def runtime_settings() -> Any:
    from lambdas.common.runtime import settings
    from vedette.contracts.functions import RolloutSettings

    return settings(RolloutSettings)


def app(version: str) -> ApplicationChange:
    return ApplicationChange(name="ppe", to=ApplicationChoice(version=version))


def roll(account: Account, version: str, *rings: str) -> str:
    rollouts = Rollouts(Outside())
    started = rollouts.start(rollouts.plan("main", app(version), rings=rings), policy=POLICY)
    account.drive(started.rollout_id)
    account.now += 1
    return started.rollout_id


def test_taking_back_gives_each_ring_its_own(account: Account) -> None:
    rollouts = Rollouts(Outside())
    roll(account, "1.0.0")
    roll(account, "2.0.0", "canary")
    last = roll(account, "3.0.0")
    account.start("belt", "1.0.0", "rollout-b")
    account.drive("rollout-b")
    plan = rollouts.plan_rollback("main", "ppe")
    assert plan.takes_back == last
    assert plan.change == app("2.0.0")
    assert [ring.to for ring in plan.rings] == [None, app("1.0.0"), app("1.0.0")]
    assert all(ring.now == app("3.0.0") for ring in plan.rings)
    started = rollouts.start(plan, policy=POLICY)
    assert started.takes_back == last
    account.drive(started.rollout_id)
    found = desired(account)
    assert found == {
        "canary": {"belt": "1.0.0", "ppe": "2.0.0"},
        "early": {"belt": "1.0.0", "ppe": "1.0.0"},
        "rest": {"belt": "1.0.0", "ppe": "1.0.0"},
    }
    assert account.greengrass.running("rest")["vedette.app.ppe"] == "1.0.0"
    again = rollouts.plan_rollback("main", "ppe")
    assert (again.takes_back, again.change) == (started.rollout_id, app("3.0.0")), "taking back is a rollout, too"


def test_the_first_version_is_taken_out_and_a_failed_one_is_no_last(account: Account) -> None:
    roll(account, "1.0.0")
    account.greengrass.broken = {("vedette.app.ppe", "2.0.0")}
    roll(account, "2.0.0")
    started = Rollouts(Outside()).rollback("main", "ppe", policy=POLICY)
    account.drive(started.rollout_id)
    assert desired(account) == {"canary": {}, "early": {}, "rest": {}}


def test_nothing_to_take_back(account: Account) -> None:
    rollouts = Rollouts(Outside())
    with pytest.raises(CloudError, match="no rollout of application 'ppe' has succeeded in fleet 'main'") as refused:
        rollouts.plan_rollback("main", "ppe")
    assert refused.value.code == "V009"
    account.start("ppe", "1.0.0", "rollout-1", rings=[EARLY])
    account.drive("rollout-1")
    with pytest.raises(CloudError, match="has succeeded"):
        rollouts.plan_rollback("main", "ppe")
    assert rollouts.plan_rollback("main", "ppe", rings=(EARLY,)).rings[0].to is None
    with pytest.raises(CloudError, match="no fleet 'north'"):
        rollouts.plan_rollback("north", "ppe")


def test_a_plan_to_take_back_that_is_too_old_is_refused(account: Account) -> None:
    rollouts = Rollouts(Outside())
    roll(account, "1.0.0")
    last = roll(account, "2.0.0")
    plan = rollouts.plan_rollback("main", "ppe")
    roll(account, "3.0.0")
    with pytest.raises(CloudError, match=f"runs something else than rollout '{last}' brought"):
        rollouts.start(plan, policy=POLICY)


def test_what_was_passed_over_is_recorded_and_told(account: Account) -> None:
    rollouts = Rollouts(Outside())
    why = Override(check="comparison", reason="the camera was moved")
    started = rollouts.start(rollouts.plan("main", app("1.0.0")), policy=POLICY, overrides=(why,))
    account.drive(started.rollout_id)
    assert rollouts.status(started.rollout_id).overrides == (why,)
    assert account.machine.told[-1]["overrides"] == [{"check": "comparison", "reason": "the camera was moved"}]
    assert [one.ring for one in rollouts.desired("main")] == ["canary", "early", "rest"]
