"""The app of the stacks, really deployed into the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cloud.sandbox_account import SandboxAccount
from vedette.contracts.account import DEFAULT_STAGE, stack

pytestmark = pytest.mark.slow
#: One template of each stack.
GOLDEN = Path(__file__).parent / "golden"


def test_every_stack_is_deployed(sandbox: SandboxAccount) -> None:
    stacks = sandbox.client("cloudformation").describe_stacks()["Stacks"]
    states = {entry["StackName"]: entry["StackStatus"] for entry in stacks}
    assert {stack(DEFAULT_STAGE, file.stem) for file in GOLDEN.glob("*.json")} <= set(states)
    assert set(states.values()) == {"CREATE_COMPLETE"}
    assert [one for one in sandbox.state("problem") if one["what"].startswith(("stack", "update"))] == []


def test_what_the_stacks_publish_exists(sandbox: SandboxAccount) -> None:
    for key in ("artefacts-bucket", "models-bucket", "evidence-bucket", "insights-bucket"):
        sandbox.client("s3").head_bucket(Bucket=sandbox.made(key))
    assert sandbox.client("dynamodb").describe_table(TableName=sandbox.made("devices-table"))
    assert sandbox.client("sns").get_topic_attributes(TopicArn=sandbox.made("operators-topic"))
