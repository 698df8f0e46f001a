"""SageMaker Neo: compilation jobs that check what Neo checks, then write an artefact or fail with a reason like Neo's.

The artefact holds the model as it was uploaded beside stand-ins for what Neo compiles: nothing is compiled here.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from vedette.core.fleet.neo import check_compilation_job
from vedette.local.cloud.world import World

#: Files of a compiled model.
_STAND_INS: Final = ("compiled.so", "compiled.params", "compiled_model.json")
_NOT_COMPILED: Final = b"Made by the sandbox of Vedette, which compiles nothing.\n"


def install(world: World) -> None:
    """Let compilation jobs do something."""
    from moto.sagemaker.models import SageMakerModelBackend

    create = SageMakerModelBackend.create_compilation_job

    def create_compilation_job(backend: Any, **given: Any) -> Any:
        arn = create(backend, **given)
        job = backend.compilation_jobs[given["compilation_job_name"]]
        job.compilation_job_status = "INPROGRESS"
        world.later(f"compilation {job.compilation_job_name}", lambda: _run(world, job))
        return arn

    SageMakerModelBackend.create_compilation_job = create_compilation_job


def _run(world: World, job: Any) -> None:
    request = {"InputConfig": job.input_config or {}, "OutputConfig": job.output_config}
    reason = check_compilation_job(request)
    made = None if reason else _compiled(world, request)
    if isinstance(made, bytes):
        uri = _artefact(request)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        world.client("s3").put_object(Bucket=bucket, Key=key, Body=made)
        job.model_artifacts = {"S3ModelArtifacts": uri}
        job.compilation_job_status = "COMPLETED"
    else:
        job.failure_reason = reason or str(made)
        job.model_artifacts = {"S3ModelArtifacts": ""}
        job.compilation_job_status = "FAILED"
    detail = {"CompilationJobName": job.compilation_job_name, "CompilationJobArn": job.arn}
    tell(
        world, "SageMaker Compilation Job State Change", {**detail, "CompilationJobStatus": job.compilation_job_status}
    )


def tell(world: World, kind: str, detail: Mapping[str, Any]) -> None:
    """An event of SageMaker's."""
    entry = {"Source": "aws.sagemaker", "DetailType": kind, "Detail": json.dumps(detail)}
    world.client("events").put_events(Entries=[entry])


def _compiled(world: World, request: Mapping[str, Any]) -> bytes | str:
    """The artefact, or why there is none."""
    uri = str(request["InputConfig"].get("S3Uri", ""))
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        given = world.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError:
        return f"ClientError: InputConfiguration: No model artifact was found at {uri}."
    try:
        with tarfile.open(fileobj=io.BytesIO(given), mode="r:gz") as archive:
            names = [member.name for member in archive.getmembers() if member.isfile()]
    except (tarfile.TarError, OSError, EOFError):
        return (
            "ClientError: InputConfiguration: Unable to untar input model. Please confirm the model is a tar.gz file."
        )
    if not names:
        return "ClientError: InputConfiguration: No valid model file found in the archive."
    if request["InputConfig"].get("Framework") == "ONNX" and sum(n.endswith(".onnx") for n in names) != 1:
        return "ClientError: InputConfiguration: Exactly one .onnx file is allowed for ONNX models."
    return _packed(given)


def _packed(given: bytes) -> bytes:
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=made, mode="w:gz") as target,
        tarfile.open(fileobj=io.BytesIO(given), mode="r:gz") as source,
    ):
        for name in _STAND_INS:
            about = tarfile.TarInfo(name)
            about.size = len(_NOT_COMPILED)
            target.addfile(about, io.BytesIO(_NOT_COMPILED))
        for member in source.getmembers():
            if member.isfile():
                kept = tarfile.TarInfo(f"original/{member.name.removeprefix('./')}")
                kept.size = member.size
                target.addfile(kept, source.extractfile(member))
    return made.getvalue()


def _artefact(request: Mapping[str, Any]) -> str:
    """Where Neo writes: the model's name and the target's, below the output's place."""
    output = request["OutputConfig"]
    platform = output.get("TargetPlatform") or {}
    parts = (platform.get("Os"), platform.get("Arch"), platform.get("Accelerator"))
    device = output.get("TargetDevice") or "_".join(part for part in parts if part)
    stem = str(request["InputConfig"]["S3Uri"]).rpartition("/")[2].partition(".")[0]
    return f"{str(output['S3OutputLocation']).rstrip('/')}/{stem}-{device}.tar.gz"
