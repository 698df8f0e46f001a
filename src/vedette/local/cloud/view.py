"""What a running sandbox holds, as its commands show it."""

from __future__ import annotations

from typing import Any

from vedette.contracts.account import parameter, stack
from vedette.contracts.errors import UsageError
from vedette.local.cloud.address import ACCESS_KEY
from vedette.local.cloud.lifecycle import Running

#: What the stack of alerts publishes the ledger's table under.
_LEDGER = "ledger-table"


def client(running: Running, service: str) -> Any:
    """A client of the sandbox.

    Raises:
        UsageError: V702, boto3 is not installed.
    """
    try:
        import boto3
    except ModuleNotFoundError:
        raise UsageError("the sandbox needs boto3.", hint='Type: pip install "vedette[cloud]"', code="V702") from None
    return boto3.client(
        service,
        region_name=running.region,
        endpoint_url=running.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=ACCESS_KEY,
    )


def stacks(running: Running) -> dict[str, str]:
    """State of each stack of the stage, by name."""
    found = client(running, "cloudformation").describe_stacks()["Stacks"]
    ours = stack(running.stage, "")
    return {one["StackName"]: one["StackStatus"] for one in found if one["StackName"].startswith(ours)}


def alerts(running: Running) -> int | None:
    """Alerts in the ledger; None where the stacks have none."""
    ssm = client(running, "ssm")
    try:
        table = ssm.get_parameter(Name=parameter(running.stage, _LEDGER))["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return None
    pages = client(running, "dynamodb").get_paginator("scan").paginate(TableName=table, Select="COUNT")
    return sum(int(page["Count"]) for page in pages)


def invocations(running: Running) -> dict[str, tuple[int, int]]:
    """How often each function ran, and how often it failed, as far back as is remembered."""
    found: dict[str, tuple[int, int]] = {}
    for entry in running.ask("/vedette/state/invocation")["entries"]:
        ran, failed = found.get(entry["function"], (0, 0))
        found[entry["function"]] = (ran + 1, failed + bool(entry["failed"]))
    return found


def problems(running: Running, most: int) -> list[str]:
    """The latest things that went wrong where nobody waited for them."""
    entries = running.ask("/vedette/state/problem")["entries"][-most:]
    return [f"{entry['what']}: {entry['error']}" for entry in entries]


def empty_buckets(running: Running) -> None:
    """Take everything out of every bucket, or CloudFormation could delete none of them."""
    s3 = client(running, "s3")
    for bucket in (one["Name"] for one in s3.list_buckets()["Buckets"]):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
