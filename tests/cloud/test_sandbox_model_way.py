"""Models go from a command or an upload to components, with everything that is deployed really running."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.model_account import archive
from tests.cloud.models import CARD_YAML, ONNX
from tests.cloud.sandbox_account import SandboxAccount
from tests.cloud.test_model_commands import TRAIN
from tests.cloud.test_model_functions import PYTORCH
from vedette.adapters.aws.account import Account
from vedette.cli.main import main
from vedette.contracts.model_record import incoming_key

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _looking_often(sandbox_commands: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.adapters.aws.models.LOOK_S", 0.2)
    monkeypatch.setattr("vedette.adapters.aws.training.LOOK_S", 0.2)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["model", *arguments])
    return int(ended.value.code or 0)


def named(card: bytes, name: str) -> bytes:
    return card.replace(b"name: parts", f"name: {name}".encode())


def folder(path: Path, name: str, card: bytes, file: str, content: bytes) -> str:
    made = path / name
    made.mkdir()
    (made / "model.yaml").write_bytes(named(card, name))
    (made / file).write_bytes(content)
    return str(made)


def archive_of(sandbox: SandboxAccount, component: str, version: str = "1.0.0") -> zipfile.ZipFile:
    """What a device would fetch."""
    greengrass = sandbox.client("greengrassv2")
    (found,) = [
        one
        for page in greengrass.get_paginator("list_components").paginate(scope="PRIVATE")
        for one in page["components"]
        if one["componentName"] == component
    ]
    answer = greengrass.get_component(arn=f"{found['arn']}:versions:{version}", recipeOutputFormat="JSON")
    (manifest,) = json.loads(answer["recipe"])["Manifests"]
    bucket, _, key = manifest["Artifacts"][0]["Uri"].removeprefix("s3://").partition("/")
    return zipfile.ZipFile(io.BytesIO(sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()))


def listening(sandbox: SandboxAccount) -> str:
    """A queue that hears of models, as anybody's own might."""
    queue = str(sandbox.client("sqs").create_queue(QueueName="told-of-models")["QueueUrl"])
    attributes = sandbox.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    events = sandbox.client("events")
    rule = {"Name": "told-of-models", "EventBusName": sandbox.made("event-bus")}
    events.put_rule(**rule, EventPattern='{"source": ["vedette"], "detail-type": ["ModelState"]}')
    events.put_targets(
        Rule=rule["Name"], EventBusName=rule["EventBusName"], Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}]
    )
    return queue


def rows(capsys: pytest.CaptureFixture[str], name: str) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert run("status", name, "--json") == 0
    return {row["target"]: row for row in json.loads(capsys.readouterr().out)}


def test_an_upload_by_hand_becomes_a_component_for_each_target(
    sandbox: SandboxAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, s3 = sandbox.made("models-bucket"), sandbox.client("s3")
    queue = listening(sandbox)
    s3.put_object(Bucket=bucket, Key=incoming_key("dropped", "1.0.0", "parts.onnx"), Body=ONNX)
    s3.put_object(Bucket=bucket, Key=incoming_key("dropped", "1.0.0", "model.yaml"), Body=named(CARD_YAML, "dropped"))

    def released() -> bool:
        table = sandbox.client("dynamodb").scan(TableName=sandbox.made("models-table"))["Items"]
        states = [item["state"]["S"] for item in table if item["model"]["S"] == "dropped"]
        return states == ["RELEASED"] * 2

    sandbox.until("the release", released)
    for target in ("x86-64", "jetson-orin"):
        assert archive_of(sandbox, f"vedette.model.dropped.{target}").read("parts.onnx") == ONNX
    assert rows(capsys, "dropped")["x86-64"]["runtime"] == "onnxruntime"
    told: list[tuple[str, str]] = []

    def all_told() -> bool:
        found = sandbox.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        details = [json.loads(message["Body"])["detail"] for message in found]
        told.extend((one["target"], one["state"]) for one in details if one["model"] == "dropped")
        return len(told) == 4

    sandbox.until("the events", all_told)
    assert set(told) == {(t, s) for t in ("x86-64", "jetson-orin") for s in ("PACKING", "RELEASED")}


def test_a_model_for_xavier_is_compiled_and_refused_where_neo_does_not_list_it(
    sandbox: SandboxAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = folder(tmp_path, "torch", PYTORCH, "parts.pth", b"traced")
    assert run("compile", made, "-t", "jetson-xavier", "--wait") == 0
    packed = archive_of(sandbox, "vedette.model.torch.jetson-xavier")
    with tarfile.open(fileobj=io.BytesIO(packed.read("compiled.tar.gz"))) as inner:
        assert {"compiled.so", "compiled.params", "model.yaml"} <= set(inner.getnames())
    assert run("compile", made, "-t", "jetson-orin") == 1
    assert "What would work: an export to ONNX" in " ".join(capsys.readouterr().err.split())
    assert rows(capsys, "torch")["jetson-xavier"]["runtime"] == "dlr"


def test_neos_own_reason_reaches_the_author(
    sandbox: SandboxAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = PYTORCH.replace(b"parts.pth", b"parts.tar.gz").replace(b"jetson-xavier, jetson-orin", b"jetson-tx2")
    made = folder(tmp_path, "hollow", card, "parts.tar.gz", archive())
    assert run("compile", made, "--wait") == 1
    row = rows(capsys, "hollow")["jetson-tx2"]
    assert row["state"] == "FAILED"
    assert (
        row["reason"]
        == "V007 SageMaker Neo: ClientError: InputConfiguration: No valid model file found in the archive."
    )


def test_other_content_under_a_released_version_is_refused(
    sandbox: SandboxAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = folder(tmp_path, "twice", CARD_YAML.replace(b", jetson-orin", b""), "parts.onnx", ONNX)
    assert run("compile", made, "--wait") == 0
    assert run("compile", made, "--wait") == 0
    card = Path(made, "model.yaml")
    card.write_bytes(card.read_bytes().replace(b"good", b"fine"))
    assert run("compile", made, "--wait") == 1
    assert "raise `version`" in " ".join(capsys.readouterr().err.split())
    card.write_bytes(card.read_bytes().replace(b"1.0.0", b"1.0.1"))
    assert run("compile", made, "--wait") == 0


def test_what_a_training_job_makes_becomes_a_component(
    sandbox: SandboxAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = tmp_path / "trained"
    example.mkdir()
    (example / "train.py").write_text(TRAIN)
    (example / "model.yaml").write_bytes(named(CARD_YAML.replace(b", jetson-orin", b""), "learned"))
    bucket = sandbox.made("models-bucket")
    sandbox.client("s3").put_object(Bucket=bucket, Key="datasets/learned/weights.onnx", Body=ONNX)
    data = f"s3://{bucket}/datasets/learned/"
    assert run("train", str(example), "--data", data, "-p", "epochs=2", "--wait") == 0
    assert archive_of(sandbox, "vedette.model.learned.x86-64").read("parts.onnx") == ONNX
    assert run("train", str(example), "--data", data, "-p", "epochs=0", "--wait") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "V008" in said
    assert "no epochs, no model" in said
