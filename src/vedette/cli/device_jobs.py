"""What ``vedette device reboot`` and ``update`` share: a job for one device, or for a fleet's rings in their order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import typer
from rich.console import Console

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import Devices
from vedette.adapters.aws.jobs import DeviceJobs, JobCounts
from vedette.contracts.device_job import DeviceJob, UpdateJob
from vedette.contracts.errors import CloudError, UsageError
from vedette.core.fleet.device_item import text
from vedette.core.fleet.job_plan import ring_fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a job is for.

    Attributes:
        device: one device; None for a fleet.
        fleet: of the rings.
        rings: in their order; all of the fleet's where empty.
    """

    device: str | None = None
    fleet: str | None = None
    rings: tuple[str, ...] = ()


@dataclass(slots=True)
class Told:
    """What is told at the end, with ``--json``."""

    operation: str
    steps: list[dict[str, Any]] = field(default_factory=list)


def target(device: str | None, fleet: str | None, rings: Iterable[str] | None) -> Target:
    """Whom the options name.

    Raises:
        UsageError: V701, nobody, or two.
    """
    rings = tuple(rings or ())
    if (device is None) == (fleet is None):
        raise UsageError("one of --device and --fleet is needed.", hint="Such as: --device SN-2041")
    if device is not None and rings:
        raise UsageError("--ring belongs to --fleet.", hint="A device is in one ring anyway.")
    return Target(device=device, fleet=fleet, rings=rings)


def resolved(account: Account, whom: Target, *, wait: bool) -> list[tuple[str, str]]:
    """Names and ARNs of whom the job is for, in their order.

    Without waiting only one job is made: a second ring may not begin before the first has shown that all is well.

    Raises:
        CloudError: V020, V021 there is no such device, fleet or ring; V001 to V003.
        UsageError: V701, several rings without waiting.
    """
    targets = _targets(DeviceJobs(account), Devices(account), whom)
    if len(targets) > 1 and not wait:
        raise UsageError(
            "a fleet's rings go one after the other, and somebody has to look in between.",
            hint="Add --wait, or name one ring: --ring canary",
        )
    return targets


def run_job(
    account: Account,
    job: DeviceJob,
    whom: Target,
    targets: list[tuple[str, str]],
    *,
    wait: bool,
    limit_s: float,
    json_: bool,
) -> None:
    """Make the job, ring by ring where it is for a fleet, and follow it.

    Raises:
        CloudError: V022 it did not succeed; V001 to V003.
        typer.Exit: 1, the same with ``--json``.
    """
    jobs, console = DeviceJobs(account), Console(stderr=True, highlight=False)
    told = Told(job.operation)
    percent = 10.0 if whom.device is None else 100.0
    failure = ""
    for name, arn in targets:
        job_id = jobs.start(arn, job, abort_percent=percent)
        console.print(f"{name}: job {job_id}: {job.operation}")
        counts = _followed(jobs, job_id, name, limit_s, console) if wait else jobs.counts(job_id)
        told.steps.append({"target": name, "job": job_id, **asdict(counts)})
        if wait:
            failure = ring_fails(
                succeeded=counts.succeeded,
                failed=counts.failed,
                waiting=counts.waiting,
                working=counts.working,
            )
            if whom.device is not None and not failure and not counts.succeeded:
                failure = "the device did not do it"
        if failure:
            told.steps[-1]["failure"] = failure
            break
    if json_:
        print(json.dumps({"operation": told.operation, "steps": told.steps, "succeeded": not failure}))
        if failure:
            raise typer.Exit(1)
    elif failure:
        left = [name for name, _ in targets[len(told.steps) :]]
        after = f" Not begun: {', '.join(left)}." if left else ""
        raise CloudError(
            f"{told.steps[-1]['target']}: {failure}.{after}",
            hint="Each device's reason: vedette device show NAME",
            code="V022",
        )
    elif not wait:
        console.print(f"To follow it: aws iot describe-job --job-id {told.steps[-1]['job']}")


def _targets(jobs: DeviceJobs, devices: Devices, whom: Target) -> list[tuple[str, str]]:
    if whom.device is not None:
        thing = text(devices.item(whom.device), "thing")
        return [(thing, jobs.thing_arn(thing))]
    assert whom.fleet is not None
    rings = whom.rings or jobs.rings(whom.fleet)
    return [(f"ring {ring}", jobs.ring_arn(whom.fleet, ring)) for ring in rings]


def _followed(jobs: DeviceJobs, job_id: str, name: str, limit_s: float, console: Console) -> JobCounts:
    counts = None
    for counts in jobs.follow(job_id, limit_s):
        console.print(
            f"{name}: {counts.succeeded} of {counts.devices} done, {counts.working} at it, {counts.waiting} waiting"
            + (f", {counts.failed} failed" if counts.failed else "")
        )
    assert counts is not None
    return counts


def default_limit_s(job: DeviceJob) -> float:
    """How long a ring is waited for where nobody said."""
    return 1800.0 + (job.probation_s if isinstance(job, UpdateJob) else 0)
