"""The app of the stacks, really deployed into the sandbox."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.cloud.sandbox_account import SandboxAccount
from tests.cloud.test_sandbox_rollout import become_device, installed
from vedette.adapters.aws.account import Account
from vedette.contracts.account import DEFAULT_STAGE, stack
from vedette.local.edge import EDGE_COMPONENTS

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


def test_our_components_are_versions_and_a_new_ring_runs_them(
    sandbox: SandboxAccount, sandbox_commands: Account
) -> None:
    sandbox.invoke(sandbox.made("baseline-function"), {})
    thing = become_device(sandbox, sandbox_commands, "SN-NEW", "early")
    ours = set(EDGE_COMPONENTS)
    sandbox.until("our components on the device", lambda: ours <= set(installed(sandbox, thing)))
    greengrass = sandbox.client("greengrassv2")
    listed = greengrass.get_paginator("list_components").paginate(scope="PRIVATE")
    arns = {one["componentName"]: one["latestVersion"]["arn"] for page in listed for one in page["components"]}
    for name in ours:
        recipe = json.loads(greengrass.get_component(arn=arns[name], recipeOutputFormat="JSON")["recipe"])
        (artifact,) = recipe["Manifests"][0]["Artifacts"]
        bucket, _, key = artifact["Uri"].removeprefix("s3://").partition("/")
        archive = zipfile.ZipFile(io.BytesIO(sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()))
        assert {"vedette/__init__.py", "run.sh"} <= set(archive.namelist())
