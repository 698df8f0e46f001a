"""Jobs of AWS IoT that the device agent carries out, and what it keeps of the one it is at."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from vedette.contracts.base import Contract, Digest

#: Largest package of an update, bytes; the helper on the device holds to the same.
MAX_PACKAGE_BYTES: Final = 1 << 30
#: Characters of a value in a job's status details, as AWS takes them.
MAX_DETAIL: Final = 1024

#: As AWS IoT makes them; it becomes part of topics.
JobId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
JOB_ID: Final[TypeAdapter[str]] = TypeAdapter(JobId)
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~-]{0,63}$")]


class RebootJob(Contract):
    """Restart the machine."""

    vedette: Annotated[Literal[1], Field(description="Format of this document.")] = 1
    operation: Literal["reboot"] = "reboot"


class UpdateJob(Contract):
    """Put in another nucleus or runtime; keep it only if the device is well with it."""

    vedette: Literal[1] = 1
    operation: Literal["update-nucleus", "update-runtime"]
    version: Version
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{2,62}$")]
    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,255}$")]
    size: Annotated[int, Field(ge=1, le=MAX_PACKAGE_BYTES, description="Bytes.")]
    sha256: Digest
    signature: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9+/]{8,190}={0,2}$"),
        Field(description="ECDSA by the stage's key over kind, version and SHA-256; base64."),
    ]
    probation_s: Annotated[
        int, Field(ge=10, le=86400, description="How long the device must be well in one piece, seconds.")
    ] = 600
    settle_s: Annotated[
        int,
        Field(ge=5, le=900, description="How long it may take to become well, beyond the probation itself, seconds."),
    ] = 600

    @property
    def kind(self) -> str:
        """What is updated: ``nucleus`` or ``runtime``."""
        return self.operation.removeprefix("update-")


DeviceJob = Annotated[RebootJob | UpdateJob, Field(discriminator="operation")]
DEVICE_JOB: Final[TypeAdapter[RebootJob | UpdateJob]] = TypeAdapter(DeviceJob)


def update_statement(kind: str, version: str, sha256: str) -> bytes:
    """What is signed of an update, and checked on the device as root."""
    return f"vedette-update 1\nkind={kind}\nversion={version}\nsha256={sha256}\n".encode()


class Stage(StrEnum):
    """How far a job is on the device."""

    LOADING = "loading"
    APPLYING = "applying"
    REBOOTING = "rebooting"
    PROBATION = "probation"
    CONFIRMING = "confirming"
    RESTORING = "restoring"
    DONE = "done"


class JobStatus(StrEnum):
    """What AWS IoT is told."""

    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"


class JobProgress(Contract):
    """The job that the device is at, as it lies on its disk. Times are of the monotonic clock of a boot."""

    job_id: JobId
    execution: Annotated[int, Field(ge=0, description="Number of the attempt, as AWS counts.")] = 0
    job: DeviceJob
    stage: Stage
    boot_id: Annotated[str, Field(description="Of the boot in which the stage began.")]
    since_s: Annotated[float, Field(description="When the stage began, in that boot.")]
    well_since_s: Annotated[float | None, Field(description="Since when nothing new is wrong, in that boot.")] = None
    boots: Annotated[int, Field(ge=0, description="Restarts of the machine during the probation.")] = 0
    wrong_before: Annotated[
        tuple[str, ...], Field(description="What was wrong before the update; it does not count.")
    ] = ()
    status: JobStatus = JobStatus.IN_PROGRESS
    reason: Annotated[str, Field(max_length=MAX_DETAIL)] = ""

    @property
    def request_id(self) -> str:
        """Under which the helper answers."""
        return f"{self.job_id}-{self.execution}"
