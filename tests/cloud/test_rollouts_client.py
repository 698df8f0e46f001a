"""The command line's way to rollouts: the real function behind a fake ``Invoke``."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from lambdas.rollout_api import handler
from tests.cloud.test_rollout_functions import POLICY, account
from tests.cloud.test_rollout_functions import Account as Functions
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.rollouts import Rollouts
from vedette.contracts.errors import CloudError
from vedette.contracts.rollout import ApplicationChange, ApplicationChoice, GatePolicy, RolloutStatus

__all__ = ["account"]
CHANGE = ApplicationChange(name="ppe", to=ApplicationChoice(version="1.0.0"))


class Outside(Account):
    """An account whose function is called in this process."""

    def __init__(self) -> None:
        super().__init__(region="eu-central-1")
        self.answer: dict[str, Any] | None = None

    def made(self, key: str) -> str:
        assert key == "rollout-function"
        return "rollouts"

    def client(self, service: str) -> Any:
        assert service in {"lambda", "sts"}
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": "arn:aws:iam::123456789012:user/anna"}

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - as boto3 has it
        if self.answer is not None:
            return self.answer
        said = handler.handle(json.loads(Payload), None)
        return {"Payload": io.BytesIO(json.dumps(said).encode())}


def test_from_plan_to_end(account: Functions) -> None:
    def sleep(_: float) -> None:
        step = action.pop(0) if action else "check"
        following = account.step(step, started.rollout_id)
        if following in {"begin", "finish"}:
            action.append(following)
        account.now += 60

    action = ["begin"]
    rollouts = Rollouts(Outside(), sleep=sleep)
    plan = rollouts.plan("main", CHANGE)
    assert [ring.ring for ring in plan.rings] == ["canary", "early", "rest"]
    started = rollouts.start(plan, policy=GatePolicy(**POLICY))
    seen = list(rollouts.follow(started.rollout_id))
    assert seen[0] == started
    assert seen[-1].status is RolloutStatus.SUCCEEDED
    assert seen[-1].by == "arn:aws:iam::123456789012:user/anna"
    assert [one.rollout_id for one in rollouts.newest("main")] == [started.rollout_id]
    with pytest.raises(CloudError, match="V009 ring 'canary' runs something else"):
        rollouts.start(plan)


def test_a_rollout_that_was_taken_back_says_why(account: Functions) -> None:
    rollouts = Rollouts(Outside(), sleep=lambda _: None)
    started = rollouts.start(rollouts.plan("main", CHANGE))
    account.step("begin", started.rollout_id)
    rollouts.abort(started.rollout_id, reason="wrong site")
    account.step("roll-back", started.rollout_id)
    with pytest.raises(CloudError, match=r"V010 .* was taken back: aborted by .*/anna: wrong site") as ended:
        list(rollouts.follow(started.rollout_id))
    assert ended.value.code == "V010"


def test_refusals_keep_their_code(account: Functions) -> None:
    with pytest.raises(CloudError, match="there is no fleet 'north'") as refused:
        Rollouts(Outside()).plan("north", CHANGE)
    assert refused.value.code == "V009"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "Boom"}')}, "V003 .*failed: Boom"),
        ({"Payload": io.BytesIO(b'{"new": 1}')}, "V002 .*does not know"),
        ({"Payload": io.BytesIO(b"{}")}, "V002 .*another question"),
    ],
)
def test_answers_that_make_no_sense(answer: dict[str, Any], message: str) -> None:
    outside = Outside()
    outside.answer = answer
    with pytest.raises(CloudError, match=message):
        Rollouts(outside).status("rollout-1")
