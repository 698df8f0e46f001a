"""A model from its upload to every ring of a fleet, and a newer one taken back because the canary became unwell."""

from __future__ import annotations

import time

import pytest

from tests.cloud.models import CARD_YAML, ONNX
from tests.cloud.sandbox_account import SandboxAccount, leave_rings_to, tell_health
from tests.cloud.test_sandbox_rollout import become_device, installed
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.rollouts import Rollouts
from vedette.contracts.errors import CloudError
from vedette.contracts.model_record import incoming_key
from vedette.contracts.rollout import ComponentChange, ComponentChoice, GatePolicy, RolloutStatus

pytestmark = pytest.mark.slow
NAME, COMPONENT = "wholeway", "vedette.model.wholeway.x86-64"


def release(sandbox: SandboxAccount, version: str) -> None:
    """Put a model into the bucket, as a data scientist does, and wait for its component."""
    card = CARD_YAML.replace(b"name: parts", f"name: {NAME}".encode())
    card = card.replace(b"version: 1.0.0", f"version: {version}".encode())
    for file, content in (("parts.onnx", ONNX), ("model.yaml", card)):
        key = incoming_key(NAME, version, file)
        sandbox.client("s3").put_object(Bucket=sandbox.made("models-bucket"), Key=key, Body=content)
    greengrass = sandbox.client("greengrassv2")

    def there() -> bool:
        listed = greengrass.list_components(scope="PRIVATE")["components"]
        return any(
            one["componentName"] == COMPONENT and one["latestVersion"]["componentVersion"] == version for one in listed
        )

    sandbox.until(f"the component of {version}", there)


def test_a_model_reaches_every_ring_and_an_unwell_canary_takes_the_next_one_back(
    sandbox: SandboxAccount, sandbox_commands: Account
) -> None:
    sandbox.invoke(sandbox_commands.made("baseline-function"), {})
    canary = become_device(sandbox, sandbox_commands, "SN-WAY-CANARY", "canary")
    rest = become_device(sandbox, sandbox_commands, "SN-WAY-REST", "rest")
    leave_rings_to(sandbox, (canary, rest))
    for thing in (canary, rest):
        tell_health(sandbox, thing, "STREAMING")
    rollouts = Rollouts(sandbox_commands, sleep=lambda _: time.sleep(0.3))

    release(sandbox, "1.0.0")
    change = ComponentChange(to={COMPONENT: ComponentChoice(version="1.0.0")})
    policy = GatePolicy(check_every_s=1, soak_s=0, timeout_s=60)
    started = rollouts.start(rollouts.plan("main", change), policy=policy)
    assert list(rollouts.follow(started.rollout_id))[-1].status is RolloutStatus.SUCCEEDED
    assert installed(sandbox, canary)[COMPONENT] == installed(sandbox, rest)[COMPONENT] == "1.0.0"

    release(sandbox, "1.1.0")
    change = ComponentChange(to={COMPONENT: ComponentChoice(version="1.1.0")})
    # The canary runs it and is watched for a while; in that time its camera is lost.
    patient = GatePolicy(check_every_s=1, soak_s=3, timeout_s=60)
    started = rollouts.start(rollouts.plan("main", change), policy=patient)
    sandbox.until("the canary's turn", lambda: installed(sandbox, canary).get(COMPONENT) == "1.1.0")
    tell_health(sandbox, canary, "UNREACHABLE")
    with pytest.raises(
        CloudError, match=r"V010 .*ring canary: 1 of \d+ devices report problems that they did not have"
    ):
        list(rollouts.follow(started.rollout_id))
    sandbox.until("what ran before", lambda: installed(sandbox, canary)[COMPONENT] == "1.0.0")
    assert installed(sandbox, rest)[COMPONENT] == "1.0.0"
