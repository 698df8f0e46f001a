"""Jobs of AWS IoT for devices: made for one ring or one device, followed to their end by counts alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.artefact_file import ArtefactFile, measured
from vedette.adapters.aws.account import Account, aws_errors
from vedette.adapters.aws.kept_secrets import UpdateKey
from vedette.contracts.account import RINGS, fleet_group, ring_group
from vedette.contracts.base import mistakes
from vedette.contracts.device_job import MAX_PACKAGE_BYTES, DeviceJob, UpdateJob, update_statement
from vedette.contracts.errors import CloudError

#: How often a job that is followed is asked about, seconds.
_EVERY_S: Final = 5.0
#: What a device may take beyond its probation, minutes: loading, restarting, putting back.
_MARGIN_MIN: Final = 120
_COUNTS: Final = ("Queued", "InProgress", "Succeeded", "Failed", "Rejected", "TimedOut", "Canceled", "Removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """How many devices stand how.

    Attributes:
        status: of the job: IN_PROGRESS, COMPLETED, CANCELED, …
        waiting: not begun; devices that are offline are among them.
        working: at it.
        succeeded: done.
        failed: failed, refused or took too long.
        dropped: ended with the job, or no member any more.
    """

    status: str
    waiting: int
    working: int
    succeeded: int
    failed: int
    dropped: int

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in {"COMPLETED", "CANCELED"}

    @property
    def devices(self) -> int:
        """All of them."""
        return self.waiting + self.working + self.succeeded + self.failed + self.dropped


class DeviceJobs:
    """Makes and follows jobs.

    Args:
        account: with the stacks.
        sleep: waits that many seconds.
        monotonic: clock, seconds.
    """

    def __init__(
        self,
        account: Account,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._sleep = sleep
        self._monotonic = monotonic

    def update(self, file: Path, kind: str, version: str, *, probation_s: int) -> UpdateJob:
        """Upload a package and sign it.

        Args:
            file: the package.
            kind: ``nucleus`` or ``runtime``.
            version: that it brings.
            probation_s: how long a device must be well with it, seconds.

        Raises:
            CloudError: V021 it cannot be a package, V001 to V003.
        """
        package = _package(file)
        bucket = self._account.made("artefacts-bucket")
        key = f"updates/{kind}/{package.sha256}"
        try:
            job = UpdateJob(
                operation="update-nucleus" if kind == "nucleus" else "update-runtime",
                version=version,
                region=self._account.region,
                bucket=bucket,
                key=key,
                size=package.size,
                sha256=package.sha256,
                signature=UpdateKey(self._account).sign(update_statement(kind, version, package.sha256)),
                probation_s=probation_s,
            )
        except ValidationError as error:
            raise CloudError(f"the update is refused: {'; '.join(mistakes(error))}.", code="V021") from None
        with aws_errors("the upload of the package"):
            self._account.client("s3").upload_file(str(file), bucket, key)
        return job

    def start(self, target_arn: str, job: DeviceJob, *, abort_percent: float) -> str:
        """Make a job for everybody who is in a group now, or for one thing; its number.

        AWS IoT begins with ten devices a minute and grows with what succeeds, and cancels what is left where more than
        ``abort_percent`` of the devices failed, refused or took too long.

        Raises:
            CloudError: V001 to V003.
        """
        identity = f"vedette-{secrets.token_hex(8)}"
        minutes = _MARGIN_MIN + (job.probation_s // 60 if isinstance(job, UpdateJob) else 0)
        criteria = {
            "failureType": "ALL",
            "action": "CANCEL",
            "thresholdPercentage": abort_percent,
            "minNumberOfExecutedThings": 1,
        }
        rate = {"numberOfSucceededThings": 10}
        with aws_errors("the job"):
            self._account.client("iot").create_job(
                jobId=identity,
                targets=[target_arn],
                document=job.model_dump_json(),
                description=f"vedette: {job.operation}",
                targetSelection="SNAPSHOT",
                jobExecutionsRolloutConfig={
                    "maximumPerMinute": 1000,
                    "exponentialRate": {"baseRatePerMinute": 10, "incrementFactor": 2.0, "rateIncreaseCriteria": rate},
                },
                abortConfig={"criteriaList": [criteria]},
                timeoutConfig={"inProgressTimeoutInMinutes": minutes},
            )
        return identity

    def counts(self, job_id: str) -> JobCounts:
        """How a job stands: one request, however many devices it is for.

        Raises:
            CloudError: V001 to V003.
        """
        with aws_errors("the job"):
            said = self._account.client("iot").describe_job(jobId=job_id)["job"]
        details: dict[str, Any] = said.get("jobProcessDetails", {})
        queued, working, succeeded, failed, rejected, late, canceled, removed = (
            int(details.get(f"numberOf{name}Things", 0)) for name in _COUNTS
        )
        return JobCounts(
            status=str(said["status"]),
            waiting=queued,
            working=working,
            succeeded=succeeded,
            failed=failed + rejected + late,
            dropped=canceled + removed,
        )

    def follow(self, job_id: str, limit_s: float) -> Iterator[JobCounts]:
        """How a job stands each time that it has changed, until it is over or the time is.

        Raises:
            CloudError: V001 to V003.
        """
        deadline_s = self._monotonic() + limit_s
        seen: JobCounts | None = None
        while seen is None or not seen.over:
            if seen is not None:
                if self._monotonic() >= deadline_s:
                    return
                self._sleep(_EVERY_S)
            now = self.counts(job_id)
            if now != seen:
                yield now
            seen = now

    def rings(self, fleet: str) -> tuple[str, ...]:
        """A fleet's rings in the order of a rollout.

        Raises:
            CloudError: V021, it has none, or others than usual, whose order nobody knows; V001 to V003.
        """
        beginning = f"{fleet_group(fleet)}-"
        iot = self._account.client("iot")
        with aws_errors("the fleet's groups"):
            try:
                pages = list(iot.get_paginator("list_thing_groups").paginate(parentGroup=fleet_group(fleet)))
            except iot.exceptions.ResourceNotFoundException:
                pages = []
        names = [one["groupName"] for page in pages for one in page["thingGroups"]]
        found = {name.removeprefix(beginning) for name in names if name.startswith(beginning)}
        if not found:
            raise CloudError(f"there is no fleet {fleet!r}.", hint="Settings of the stacks: fleets.", code="V021")
        if not found <= set(RINGS):
            raise CloudError(
                f"fleet {fleet!r} has rings of its own: {', '.join(sorted(found))}.",
                hint="Say in which order: --ring FIRST --ring SECOND",
                code="V021",
            )
        return tuple(ring for ring in RINGS if ring in found)

    def ring_arn(self, fleet: str, ring: str) -> str:
        """The group of a ring.

        Raises:
            CloudError: V021, there is none; V001 to V003.
        """
        name = ring_group(fleet, ring)
        iot = self._account.client("iot")
        with aws_errors("the ring's group"):
            try:
                return str(iot.describe_thing_group(thingGroupName=name)["thingGroupArn"])
            except iot.exceptions.ResourceNotFoundException:
                pass
        raise CloudError(f"fleet {fleet!r} has no ring {ring!r}.", hint="Settings of the stacks: fleets.", code="V021")

    def thing_arn(self, thing: str) -> str:
        """A device's thing.

        Raises:
            CloudError: V021, it has none yet; V001 to V003.
        """
        iot = self._account.client("iot")
        with aws_errors("the device's thing"):
            try:
                return str(iot.describe_thing(thingName=thing)["thingArn"])
            except iot.exceptions.ResourceNotFoundException:
                pass
        raise CloudError(f"{thing} is registered and not installed yet.", hint="Install its bundle.", code="V021")


def document(job: DeviceJob) -> dict[str, Any]:
    """A job's document, for people."""
    return job.model_dump(mode="json")


def _package(file: Path) -> ArtefactFile:
    try:
        found = measured(file)
    except OSError as error:
        raise CloudError(f"{file}: {error.strerror}.", hint="Give a package.", code="V021") from None
    if not 0 < found.size <= MAX_PACKAGE_BYTES:
        raise CloudError(f"{file} has {found.size} bytes; 1 to {MAX_PACKAGE_BYTES} are allowed.", code="V021")
    return found
