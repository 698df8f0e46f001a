"""Training jobs in the owner's account: an example's own ``train.py`` on a machine of SageMaker's."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.errors import CloudError, UsageError
from vedette.contracts.model_record import CODE, DATASETS, TRAINED, TRAINING_IMAGES_ACCOUNT

#: Regions in which AWS's training images are in the account that the stacks let jobs read from.
IMAGE_REGIONS: Final = frozenset(
    {
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
        *("eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1"),
        *("ap-south-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2"),
    }
)
_IMAGE: Final = "{account}.dkr.ecr.{region}.amazonaws.com/pytorch-training:2.6.0-{kind}-ubuntu22.04-sagemaker"
_GPU, _CPU = "gpu-py312-cu126", "cpu-py312"
#: Families of instances with a GPU.
_GPU_FAMILIES: Final = ("ml.g", "ml.p")
JOB_LIMIT_S: Final = 24 * 3600
LOOK_S: Final = 10.0
_MAX_CODE_BYTES: Final = 50 << 20
_LEFT_OUT: Final = frozenset({"__pycache__", ".git", ".venv", "node_modules"})
_ENDED: Final = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What is trained, and on what.

    Attributes:
        name: of the model, which the job is named after.
        directory: with ``train.py`` in it.
        data: a directory or file here, ``s3://…``, or empty where the program makes its own.
        parameters: given to the program as ``--name value``.
        instance: SageMaker's kind of machine.
        image: container image; AWS's own for PyTorch where empty.
    """

    name: str
    directory: Path
    data: str
    parameters: Mapping[str, str]
    instance: str
    image: str = ""


def training_image(region: str, instance: str) -> str:
    """AWS's image for PyTorch.

    Raises:
        UsageError: V701, none is known for the region.
    """
    if region not in IMAGE_REGIONS:
        raise UsageError(
            f"no training image is known for {region}.",
            hint="Give one with --image; the stack's training role must be allowed to read it.",
        )
    return _IMAGE.format(
        account=TRAINING_IMAGES_ACCOUNT, region=region, kind=_GPU if instance.startswith(_GPU_FAMILIES) else _CPU
    )


class CloudTraining:
    """Starts and follows training jobs.

    Args:
        account: where.
        sleep: waits between two looks.
    """

    def __init__(self, account: Account, sleep: Callable[[float], None] = time.sleep) -> None:
        self._account = account
        self._sleep = sleep

    def start(self, request: TrainingRequest, now: datetime, progress: Callable[[str], None]) -> str:
        """Upload program and data, start the job; its name.

        Raises:
            CloudError: V001 to V003; V008, there is nothing to train with.
            UsageError: V701, data in a bucket that jobs cannot read, or no image is known.
        """
        job = f"vedette-{self._account.stage}-{request.name}-{now:%y%m%d%H%M%S}"
        bucket = self._account.made("models-bucket")
        image = request.image or training_image(self._account.region, request.instance)
        channels = self._channels(bucket, job, request, progress)
        code = f"{CODE}{job}/source.tar.gz"
        with aws_errors("uploading train.py"):
            self._account.client("s3").put_object(Bucket=bucket, Key=code, Body=pack_program(request.directory))
        progress("program uploaded")
        own = {"sagemaker_program": "train.py", "sagemaker_submit_directory": f"s3://{bucket}/{code}"}
        job_request = {
            "TrainingJobName": job,
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "RoleArn": self._account.made("models-training-role"),
            "HyperParameters": {**request.parameters, **own},
            "OutputDataConfig": {
                "S3OutputPath": f"s3://{bucket}/{TRAINED}",
                "KmsKeyId": self._account.made("models-key"),
            },
            "ResourceConfig": {"InstanceType": request.instance, "InstanceCount": 1, "VolumeSizeInGB": 50},
            "StoppingCondition": {"MaxRuntimeInSeconds": JOB_LIMIT_S},
        }
        with aws_errors(f"starting the training job {job}"):
            self._account.client("sagemaker").create_training_job(
                **job_request, **({"InputDataConfig": channels} if channels else {})
            )
        return job

    def follow(self, job: str, progress: Callable[[str], None]) -> None:
        """Wait until a job has ended well.

        Raises:
            CloudError: V008, it failed or was stopped, with SageMaker's reason; V001 or V003.
        """
        last = ""
        while True:
            with aws_errors(f"the training job {job}"):
                said = self._account.client("sagemaker").describe_training_job(TrainingJobName=job)
            status, step = str(said["TrainingJobStatus"]), str(said.get("SecondaryStatus", ""))
            if step != last:
                progress(step or status)
                last = step
            if status in _ENDED:
                break
            self._sleep(LOOK_S)
        if status != "Completed":
            reason = said.get("FailureReason") or f"it is {status}"
            raise CloudError(
                f"training job {job}: {reason}",
                hint=f"Its log: aws logs tail /aws/sagemaker/TrainingJobs --log-stream-name-prefix {job}",
                code="V008",
            )

    def _channels(
        self, bucket: str, job: str, request: TrainingRequest, progress: Callable[[str], None]
    ) -> list[dict[str, object]]:
        if not request.data:
            return []
        uri = request.data
        if not uri.startswith("s3://"):
            uri = self._upload_data(bucket, job, Path(uri), progress)
        elif not uri.startswith(f"s3://{bucket}/{DATASETS}"):
            raise UsageError(
                f"training jobs cannot read {uri}; allowed is what is below s3://{bucket}/{DATASETS}.",
                hint=f"Type: aws s3 cp --recursive {uri} s3://{bucket}/{DATASETS}{request.name}/",
            )
        source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        return [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}]

    def _upload_data(self, bucket: str, job: str, path: Path, progress: Callable[[str], None]) -> str:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise CloudError(f"there is no data in {path}.", hint="Name a directory with files in it.", code="V008")
        top = path if path.is_dir() else path.parent
        for number, file in enumerate(files, 1):
            with aws_errors(f"uploading {file}"):
                key = f"{DATASETS}{job}/{file.relative_to(top)}"
                self._account.client("s3").upload_file(str(file), bucket, key)
            progress(f"{number} of {len(files)} files uploaded")
        return f"s3://{bucket}/{DATASETS}{job}/"


def pack_program(directory: Path) -> bytes:
    """``train.py`` and what lies beside it, as SageMaker's images unpack it; our own library goes along.

    Raises:
        CloudError: V008, there is no ``train.py``, or the directory is too large.
    """
    if not (directory / "train.py").is_file():
        raise CloudError(f"there is no train.py in {directory}.", hint="See docs/models.md, training.", code="V008")
    import vedette

    library = Path(vedette.__file__).resolve().parent
    packed = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for top, prefix in ((directory, Path()), (library, Path("vedette"))):
            for file in sorted(top.rglob("*")):
                inner = file.relative_to(top)
                if not file.is_file() or _LEFT_OUT & set(inner.parts):
                    continue
                total += file.stat().st_size
                if total > _MAX_CODE_BYTES:
                    raise CloudError(
                        f"{directory} holds more than {_MAX_CODE_BYTES >> 20} MB beside train.py.",
                        hint="Data belongs into --data.",
                        code="V008",
                    )
                archive.add(file, str(prefix / inner), recursive=False)
    return packed.getvalue()
