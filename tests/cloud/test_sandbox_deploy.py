"""The app of the stacks, really deployed into the sandbox."""

from __future__ import annotations

import pytest

from tests.cloud.sandbox_account import SandboxAccount
from vedette.contracts.account import DEFAULT_STAGE, stack

pytestmark = pytest.mark.slow


def test_every_stack_is_deployed(sandbox: SandboxAccount) -> None:
    stacks = sandbox.client("cloudformation").describe_stacks()["Stacks"]
    states = {entry["StackName"]: entry["StackStatus"] for entry in stacks}
    assert {stack(DEFAULT_STAGE, "storage"), stack(DEFAULT_STAGE, "fleet")} <= set(states)
    assert set(states.values()) == {"CREATE_COMPLETE"}
    assert sandbox.state("problem") == []


def test_what_the_stacks_publish_exists(sandbox: SandboxAccount) -> None:
    for key in ("artefacts-bucket", "models-bucket", "evidence-bucket", "insights-bucket"):
        sandbox.client("s3").head_bucket(Bucket=sandbox.made(key))
    assert sandbox.client("dynamodb").describe_table(TableName=sandbox.made("devices-table"))
    assert sandbox.client("sns").get_topic_attributes(TopicArn=sandbox.made("operators-topic"))
