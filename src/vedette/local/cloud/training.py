"""SageMaker training: the job's own program runs here, in a process, with its channels and its output in S3.

The image is not started: the program comes from ``sagemaker_submit_directory`` and ``sagemaker_program``, as
SageMaker's framework images take it, and runs with this machine's Python and the variables that those images set.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from vedette.local.cloud.neo import tell
from vedette.local.cloud.world import ACCOUNT, World

_PROGRAM: Final = "sagemaker_program"
_SOURCE: Final = "sagemaker_submit_directory"
#: Of a program's output, what a failure's reason holds; SageMaker's own limit is 1,024 characters.
_REASON: Final = 1024
_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
_LOG_LINES: Final = 2000


class TrainingError(Exception):
    """A training job that cannot run."""


def install(world: World) -> None:
    """Let training jobs do something."""
    from moto.sagemaker.models import SageMakerModelBackend

    create = SageMakerModelBackend.create_training_job

    def create_training_job(backend: Any, *arguments: Any, **given: Any) -> Any:
        job = create(backend, *arguments, **given)
        job.training_job_status = job.secondary_status = "InProgress"
        world.later(f"training {job.training_job_name}", lambda: _run(world, job))
        return job

    SageMakerModelBackend.create_training_job = create_training_job


def _run(world: World, job: Any) -> None:
    folder = world.directory / "training" / str(job.training_job_name)
    log = folder / "output.log"
    try:
        _prepare(world, job, folder)
        status = _train(world, job, folder, log)
        _keep_log(world, job, log)
        if status:
            raise TrainingError(f"AlgorithmError: exit code {status}: {log.read_text(errors='replace')[-_REASON:]}")
        _upload(world, job, folder)
        _finish(world, job, "Completed", "")
    except (TrainingError, subprocess.TimeoutExpired) as error:
        _finish(world, job, "Failed", str(error)[:_REASON])
    except Exception as error:  # noqa: BLE001 - a job always ends, whatever was wrong
        _finish(world, job, "Failed", f"InternalServerError: {type(error).__name__}: {error}"[:_REASON])


def _prepare(world: World, job: Any, folder: Path) -> None:
    """The program and the channels, as files."""
    for name in ("code", "input", "model", "output"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    given = parameters(job.hyper_parameters)
    if _PROGRAM not in given or _SOURCE not in given:
        raise TrainingError(f"ClientError: the sandbox runs programs, not images: it needs {_PROGRAM} and {_SOURCE}.")
    bucket, _, key = str(given[_SOURCE]).removeprefix("s3://").partition("/")
    source = world.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(source), mode="r:gz") as archive:
        archive.extractall(folder / "code", filter="data")
    for channel in job.input_data_config or []:
        _fetch(world, channel, folder / "input" / channel["ChannelName"])


def _fetch(world: World, channel: Mapping[str, Any], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    uri = str(channel["DataSource"]["S3DataSource"]["S3Uri"])
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    s3 = world.client("s3")
    found = [
        one
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for one in page.get("Contents", [])
    ]
    if not found:
        raise TrainingError(f"ClientError: No S3 objects found under S3 URL {uri!r}.")
    for one in found:
        name = one["Key"].removeprefix(prefix).lstrip("/") or one["Key"].rpartition("/")[2]
        path = (target / name).resolve()
        if not path.is_relative_to(target.resolve()) or one["Key"].endswith("/"):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, one["Key"], str(path))


def parameters(given: Mapping[str, str] | None) -> dict[str, Any]:
    """Hyperparameters; framework images take each value as JSON, and as text where it is none."""
    found: dict[str, Any] = {}
    for key, value in (given or {}).items():
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _train(world: World, job: Any, folder: Path, log: Path) -> int:
    given = parameters(job.hyper_parameters)
    own = {key: value for key, value in given.items() if not key.startswith("sagemaker_")}
    arguments = [part for key, value in own.items() for part in (f"--{key}", str(value))]
    channels = [str(one["ChannelName"]) for one in job.input_data_config or []]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | world.environment()
    environment |= {f"SM_CHANNEL_{name.upper()}": str(folder / "input" / name) for name in channels}
    environment |= {f"SM_HP_{key.upper()}": str(value) for key, value in own.items()}
    environment |= {
        "SM_MODEL_DIR": str(folder / "model"),
        "SM_OUTPUT_DATA_DIR": str(folder / "output"),
        "SM_CHANNELS": json.dumps(channels),
        "SM_HPS": json.dumps(own),
        "SM_NUM_GPUS": "0",
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "TRAINING_JOB_NAME": str(job.training_job_name),
    }
    program = folder / "code" / str(given[_PROGRAM])
    if not program.is_file():
        raise TrainingError(f"ClientError: {given[_PROGRAM]} is not in the source archive.")
    limit_s = float((job.stopping_condition or {}).get("MaxRuntimeInSeconds", 86400))
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, str(program), *arguments],
            cwd=folder / "code",
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
        )
    return done.returncode


def _upload(world: World, job: Any, folder: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path in sorted((folder / "model").rglob("*")):
            archive.add(path, str(path.relative_to(folder / "model")), recursive=False)
    bucket, _, key = job.model_artifacts["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    world.client("s3").put_object(Bucket=bucket, Key=key, Body=made.getvalue())


def _keep_log(world: World, job: Any, log: Path) -> None:
    """The program's output, where SageMaker would keep it."""
    lines = (
        [line for line in log.read_text(errors="replace").splitlines() if line][-_LOG_LINES:] if log.is_file() else []
    )
    if not lines:
        return
    client, stream = world.client("logs"), f"{job.training_job_name}/algo-1"
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=_LOG_GROUP)
    client.create_log_stream(logGroupName=_LOG_GROUP, logStreamName=stream)
    at = int(time.time() * 1000)
    events = [{"timestamp": at, "message": line} for line in lines]
    client.put_log_events(logGroupName=_LOG_GROUP, logStreamName=stream, logEvents=events)


def _finish(world: World, job: Any, status: str, reason: str) -> None:
    job.failure_reason = reason
    job.training_end_time = job.last_modified_time = datetime.now(UTC).replace(tzinfo=None)
    job.training_job_status = job.secondary_status = status
    detail = {
        "TrainingJobName": job.training_job_name,
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": status,
        "FailureReason": reason,
        "ModelArtifacts": job.model_artifacts,
        "OutputDataConfig": job.output_data_config,
        "Tags": {tag["Key"]: tag["Value"] for tag in job.tags or []},
        "HyperParameters": dict(job.hyper_parameters or {}),
        "AlgorithmSpecification": {"TrainingImage": (job.algorithm_specification or {}).get("TrainingImage", "")},
        "RoleArn": job.role_arn,
    }
    tell(world, "SageMaker Training Job State Change", {**detail, "Account": ACCOUNT})
