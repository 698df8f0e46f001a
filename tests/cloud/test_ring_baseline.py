"""A ring's first deployment: once, and never over what somebody decided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from lambdas.common import runtime
from lambdas.ring_baseline import handler
from tests.cloud.test_rollout_functions import Account, account, throttled

__all__ = ["account"]

EVENT = json.loads((Path(__file__).parent / "events" / "stack_is_there.json").read_text())


def test_every_new_ring_gets_one_deployment(account: Account) -> None:
    assert handler.handle(EVENT, None) == {"given": ["main/canary", "main/early", "main/rest"]}
    assert account.greengrass.running("rest") == {"aws.greengrass.Nucleus": "2.14.3"}
    assert not [one for one in account.greengrass.deployments if "abortConfig" in one["iotJobConfiguration"]], (
        "nobody looks at what AWS has stopped"
    )
    handler.handle(EVENT, None)
    assert len(account.greengrass.deployments) == 3


def test_what_was_decided_stays(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["canary"])
    account.drive("rollout-1")
    monkeypatch.setenv("BASELINE", json.dumps({"aws.greengrass.Nucleus": {"version": "9.9.9"}}))
    runtime.settings.cache_clear()
    assert handler.handle(EVENT, None) == {"given": ["main/early", "main/rest"]}
    assert account.greengrass.running("canary") == {"aws.greengrass.Nucleus": "2.14.3", "vedette.app.ppe": "1.0.0"}


def test_one_that_broke_off_is_made_good(account: Account) -> None:
    account.greengrass.failure = throttled("CreateDeployment")
    with pytest.raises(ClientError):
        handler.handle(EVENT, None)
    assert account.greengrass.deployments == []
    assert handler.handle(EVENT, None)["given"][0] == "main/canary"
    assert len(account.greengrass.deployments) == 3
