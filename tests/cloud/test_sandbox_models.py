"""Compilation and training jobs in the sandbox, and streams to S3."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cloud.sandbox_account import SandboxAccount
from vedette.local.cloud.firehose import PrefixError, lines, prefix_at

ROLE = "arn:aws:iam::123456789012:role/of-jobs"
XAVIER = {
    "TargetDevice": "jetson_xavier",
    "CompilerOptions": json.dumps({"gpu-code": "sm_72", "trt-ver": "8.2.1", "cuda-ver": "10.2"}),
}


def packed(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name.replace("__", "."))
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return made.getvalue()


@pytest.fixture(scope="module")
def bucket(bare_sandbox: SandboxAccount) -> str:
    name = f"models-{uuid.uuid4().hex[:8]}"
    bare_sandbox.client("s3").create_bucket(Bucket=name)
    return name


def put(account: SandboxAccount, bucket: str, key: str, body: bytes) -> str:
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return f"s3://{bucket}/{key}"


def compiled(account: SandboxAccount, bucket: str, uri: str, **changes: Any) -> dict[str, Any]:
    client, name = account.client("sagemaker"), f"job-{uuid.uuid4().hex[:8]}"
    config = {
        "S3Uri": uri,
        "DataInputConfig": '{"input": [1, 3, 224, 224]}',
        "Framework": "PYTORCH",
        "FrameworkVersion": "1.8",
    }
    client.create_compilation_job(
        CompilationJobName=name,
        RoleArn=ROLE,
        InputConfig=config | changes.get("config", {}),
        OutputConfig={"S3OutputLocation": f"s3://{bucket}/out/", **XAVIER, **changes.get("output", {})},
        StoppingCondition={"MaxRuntimeInSeconds": 900},
    )

    def over() -> dict[str, Any] | None:
        found = dict(client.describe_compilation_job(CompilationJobName=name))
        return found if found["CompilationJobStatus"] in ("COMPLETED", "FAILED") else None

    return dict(account.until("the compilation", over))


def test_a_compilation_writes_an_artefact(bare_sandbox: SandboxAccount, bucket: str) -> None:
    uri = put(bare_sandbox, bucket, "in/hats.tar.gz", packed(model__pth=b"weights"))
    job = compiled(bare_sandbox, bucket, uri)
    assert job["CompilationJobStatus"] == "COMPLETED", job["FailureReason"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/out/hats-jetson_xavier.tar.gz"
    body = bare_sandbox.client("s3").get_object(Bucket=bucket, Key="out/hats-jetson_xavier.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert {"compiled.so", "compiled.params", "original/model.pth"} <= set(archive.getnames())


@pytest.mark.parametrize(
    ("key", "body", "changes", "said"),
    [
        ("in/none.tar.gz", None, {}, "No model artifact was found"),
        ("in/text.tar.gz", b"text", {}, "Unable to untar"),
        ("in/empty.tar.gz", packed(), {}, "No valid model file"),
        ("in/a.tar.gz", packed(model__pth=b"w"), {"config": {"Framework": "XGBOOST"}}, "XGBOOST' is not supported"),
        ("in/a.tar.gz", packed(model__pth=b"w"), {"output": {"TargetDevice": "jetson_tx1"}}, "needs gpu-code sm_53"),
        ("in/a.tar.gz", packed(model__pth=b"w"), {"config": {"DataInputConfig": "[1, 3"}}, "ClientError"),
    ],
)
def test_a_compilation_fails_for_a_reason(
    bare_sandbox: SandboxAccount, bucket: str, key: str, body: bytes | None, changes: dict[str, Any], said: str
) -> None:
    uri = put(bare_sandbox, bucket, key, body) if body is not None else f"s3://{bucket}/{key}"
    job = compiled(bare_sandbox, bucket, uri, **changes)
    assert job["CompilationJobStatus"] == "FAILED"
    assert said in job["FailureReason"]


TRAIN = b"""
import argparse, os, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
epochs = parser.parse_args().epochs
print("epochs", epochs)
if epochs < 1: sys.exit("epochs must be one or more")
data = pathlib.Path(os.environ["SM_CHANNEL_TRAINING"])
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text((data / "sub" / "a.txt").read_text() * epochs)
"""


def trained(account: SandboxAccount, bucket: str, **parameters: str) -> dict[str, Any]:
    client, name = account.client("sagemaker"), f"train-{uuid.uuid4().hex[:8]}"
    source = put(account, bucket, "code/source.tar.gz", packed(train__py=TRAIN))
    put(account, bucket, "data/sub/a.txt", b"ab")
    data = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/"}
    client.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
        HyperParameters={"sagemaker_program": "train.py", "sagemaker_submit_directory": json.dumps(source)}
        | parameters,
        InputDataConfig=[{"ChannelName": "training", "DataSource": {"S3DataSource": data}}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/trained"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )

    def over() -> dict[str, Any] | None:
        found = dict(client.describe_training_job(TrainingJobName=name))
        return found if found["TrainingJobStatus"] in ("Completed", "Failed") else None

    return dict(account.until("the training", over))


def test_training_runs_the_program_and_keeps_its_model(bare_sandbox: SandboxAccount, bucket: str) -> None:
    job = trained(bare_sandbox, bucket, epochs="2")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{bucket}/")
    body = bare_sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        member = archive.extractfile("model.txt")
        assert member is not None
        assert member.read() == b"abab"


def test_training_fails_with_the_programs_last_words(bare_sandbox: SandboxAccount, bucket: str) -> None:
    job = trained(bare_sandbox, bucket, epochs="0")
    assert job["TrainingJobStatus"] == "Failed"
    assert "exit code 1" in job["FailureReason"]
    assert "epochs must be one or more" in job["FailureReason"]


def test_training_needs_a_program(bare_sandbox: SandboxAccount, bucket: str) -> None:
    job = trained(bare_sandbox, bucket, sagemaker_program="other.py", epochs="1")
    assert job["FailureReason"] == "ClientError: other.py is not in the source archive."


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("", "2026/03/07/09/"),
        ("alerts/", "alerts/2026/03/07/09/"),
        ("alerts/day=!{timestamp:yyyy-MM-dd}/", "alerts/day=2026-03-07/"),
        ("!{timestamp:'year='yyyy/'month='MM}/", "year=2026/month=03/"),
    ],
)
def test_prefixes_of_streams(prefix: str, wanted: str) -> None:
    assert prefix_at(prefix, datetime(2026, 3, 7, 9, 5, tzinfo=UTC)) == wanted


def test_a_prefix_that_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(PrefixError, match="partitionKeyFromQuery"):
        prefix_at("a/!{partitionKeyFromQuery:site}/", datetime(2026, 3, 7, tzinfo=UTC))


def test_records_become_lines() -> None:
    assert lines([{"Data": b'{"a":1}'}, {"Data": b'{"b":2}\n'}]) == b'{"a":1}\n{"b":2}\n'


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP"])
def test_what_is_put_into_a_stream_is_in_the_bucket(
    bare_sandbox: SandboxAccount, bucket: str, compression: str
) -> None:
    name, client = f"stream-{uuid.uuid4().hex[:8]}", bare_sandbox.client("firehose")
    client.create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={
            "BucketARN": f"arn:aws:s3:::{bucket}",
            "RoleARN": ROLE,
            "Prefix": f"{name}/!{{timestamp:yyyy}}/",
            "ErrorOutputPrefix": "errors/",
            "CompressionFormat": compression,
        },
    )
    client.put_record(DeliveryStreamName=name, Record={"Data": b'{"a": 1}'})
    s3 = bare_sandbox.client("s3")
    (found,) = s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/{datetime.now(UTC).year}/")["Contents"]
    body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
    assert (gzip.decompress(body) if compression == "GZIP" else body) == b'{"a": 1}\n'
