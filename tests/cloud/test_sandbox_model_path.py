"""A model's way through the account, from upload to component, executed: events, state machine, functions, Neo."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import pytest

from tests.cloud.sandbox_account import SandboxAccount

pytestmark = pytest.mark.slow
WEIGHTS = b"weights of a network"


def card(name: str, **changes: str) -> str:
    lines = {
        "api": "vedette-model/v1",
        "name": name,
        "version": "1.0.0",
        "framework": "pytorch",
        "framework_version": '"1.8"',
        "family": "yolox",
        "file": "parts.pth",
        "sha256": f"'{hashlib.sha256(WEIGHTS).hexdigest()}'",
        "inputs": "{images: {shape: [1, 3, 416, 416], layout: NCHW, dtype: float32}}",
        "targets": "[jetson-xavier]",
    }
    return "".join(f"{key}: {value}\n" for key, value in (lines | changes).items())


def upload(account: SandboxAccount, name: str, text: str) -> None:
    """The file first, its description last."""
    bucket, s3 = account.made("models-bucket"), account.client("s3")
    s3.put_object(Bucket=bucket, Key=f"incoming/{name}/1.0.0/parts.pth", Body=WEIGHTS)
    s3.put_object(Bucket=bucket, Key=f"incoming/{name}/1.0.0/model.yaml", Body=text.encode())


def components(account: SandboxAccount, name: str) -> dict[str, str]:
    found = account.client("greengrassv2").list_components()["components"]
    return {one["componentName"]: one["latestVersion"]["arn"] for one in found if f".{name}." in one["componentName"]}


def test_an_upload_is_compiled_and_becomes_a_component(sandbox: SandboxAccount) -> None:
    name = f"parts_{uuid.uuid4().hex[:6]}"
    upload(sandbox, name, card(name))
    found = sandbox.until("the component", lambda: components(sandbox, name))
    (arn,) = found.values()
    recipe = json.loads(sandbox.client("greengrassv2").get_component(arn=arn)["recipe"])
    uris = [one.get("Uri") or one.get("URI") for one in recipe["Manifests"][0]["Artifacts"]]
    for uri in uris:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        sandbox.client("s3").head_object(Bucket=bucket, Key=key)
    client = sandbox.client("sagemaker")
    names = [one["CompilationJobName"] for one in client.list_compilation_jobs()["CompilationJobSummaries"]]
    jobs = [client.describe_compilation_job(CompilationJobName=one) for one in names]
    (job,) = [one for one in jobs if f"/{name}/" in one["InputConfig"]["S3Uri"]]
    assert job["CompilationJobStatus"] == "COMPLETED"


def test_a_model_that_differs_from_its_description_fails_with_the_reason(sandbox: SandboxAccount) -> None:
    name = f"wrong_{uuid.uuid4().hex[:6]}"
    upload(sandbox, name, card(name, sha256=f"'{'0' * 64}'"))

    def item() -> dict[str, Any] | None:
        table = sandbox.made("models-table")
        items = sandbox.client("dynamodb").scan(TableName=table)["Items"]
        failed = [one for one in items if name in str(one["model"]) and one["state"]["S"] in ("REFUSED", "FAILED")]
        return failed[0] if failed else None

    failure = sandbox.until("the failure", item)
    assert "0000000000" in failure["reason"]["S"]
    assert components(sandbox, name) == {}
