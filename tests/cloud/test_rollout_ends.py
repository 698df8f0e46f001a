"""How a rollout ends: also where the step that ends it breaks off, and with nothing that AWS stops half way."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.common.rollout_store import Store
from tests.cloud.test_rollout_functions import Account, account, throttled
from vedette.contracts.rollout import Rollout

__all__ = ["account"]


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next lock that is to be released stays where it is."""
    release, failures = Store.release, [throttled("DeleteItem")]

    def once(store: Store, rollout: Rollout) -> bool:
        if failures:
            raise failures.pop()
        return release(store, rollout)

    monkeypatch.setattr(Store, "release", once)


def told(account: Account) -> list[Any]:
    return [event["what"] for event in account.machine.told]


@pytest.mark.parametrize(
    ("action", "status", "what"), [("finish", "succeeded", "succeeded"), ("roll-back", "rolled-back", "rolled back")]
)
def test_a_lock_that_was_not_released_is_released_by_the_repeated_step(
    account: Account, monkeypatch: pytest.MonkeyPatch, action: str, status: str, what: str
) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["canary"])
    account.step("begin", "rollout-1")
    while action == "finish" and account.step("check", "rollout-1") == "wait":
        account.now += 60
    fail_once(monkeypatch)
    with pytest.raises(ClientError):
        account.step(action, "rollout-1")
    assert account.status("rollout-1")["status"] == status
    assert "is under way" in account.start("ppe", "2.0.0", "rollout-2")["refused"]["message"]
    assert account.step(action, "rollout-1") == "done"
    assert told(account)[-1] == what
    assert "rollout" in account.start("ppe", "2.0.0", "rollout-2")


def test_an_end_that_is_repeated_again_lets_nobody_in_beside_the_next_rollout(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["canary"])
    account.drive("rollout-1")
    account.start("ppe", "2.0.0", "rollout-2", rings=["canary"])
    before = told(account)
    for action in ("finish", "roll-back"):
        assert account.step(action, "rollout-1") == "done"
    assert told(account) == before
    refused = account.start("ppe", "3.0.0", "rollout-3")["refused"]
    assert "'rollout-2' of application/ppe is under way" in refused["message"]


def test_a_request_that_could_not_start_its_machine_lets_others_in_when_it_is_repeated(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.machine.failure = throttled("StartExecution")
    fail_once(monkeypatch)
    assert account.start("ppe", "1.0.0", "rollout-1")["refused"]["retryable"]
    account.machine.failure = None
    assert "is under way" in account.start("ppe", "1.0.0", "rollout-2")["refused"]["message"]
    assert account.start("ppe", "1.0.0", "rollout-1")["rollout"]["status"] == "rolled-back"
    assert "rollout" in account.start("ppe", "1.0.0", "rollout-2")


def stopped_by_aws(account: Account) -> list[bool]:
    """Of each deployment, whether AWS ends it by itself where many devices fail."""
    return ["abortConfig" in request["iotJobConfiguration"] for request in account.greengrass.deployments]


def test_aws_may_stop_a_change_and_never_what_takes_it_back(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.drive("rollout-1")
    account.greengrass.broken = {("vedette.app.ppe", "2.0.0")}
    account.start("ppe", "2.0.0", "rollout-2")
    account.drive("rollout-2")
    assert stopped_by_aws(account) == [True, True, True, True, False]
    assert account.greengrass.running("canary")["vedette.app.ppe"] == "1.0.0"


def test_what_restores_a_ring_is_a_deployment_of_its_own_where_the_change_was_there_before(account: Account) -> None:
    """Nothing is written then, so that version and ring are those of the deployment that AWS may have stopped."""
    account.start("ppe", "1.0.0", "rollout-1", rings=["canary"])
    account.drive("rollout-1")
    account.start("ppe", "1.0.0", "rollout-2", rings=["canary"])
    account.step("begin", "rollout-2")
    account.ask(action="abort", rollout_id="rollout-2", by="anna")
    assert account.step("check", "rollout-2") == "roll-back"
    assert account.step("roll-back", "rollout-2") == "done"
    assert stopped_by_aws(account) == [True, True, False]
    names = [request["deploymentName"] for request in account.greengrass.deployments]
    assert len(set(names)) == 1, "all of the same version"
