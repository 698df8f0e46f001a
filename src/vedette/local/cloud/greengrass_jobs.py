"""The IoT job behind a deployment to a group: how many devices made what of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from vedette.local.cloud.greengrass import Deployment, Greengrass
from vedette.local.cloud.world import ACCOUNT, World

_COUNTED: Final = ("Queued", "InProgress", "Succeeded", "Failed", "Rejected", "TimedOut", "Canceled", "Removed")
_WORDS: Final = {
    "QUEUED": "Queued",
    "IN_PROGRESS": "InProgress",
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "REJECTED": "Rejected",
}


@dataclass(frozen=True)
class DeploymentJob:
    """A job as moto answers it; Greengrass's own, so that nobody made it."""

    job_id: str
    job_arn: str
    targets: list[str]
    status: str
    job_process_details: dict[str, Any]
    created_at: datetime
    last_updated_at: datetime
    completed_at: datetime | None = None
    target_selection: str = "CONTINUOUS"
    force: bool = False
    comment: str | None = None
    description: str | None = None
    document: str = "{}"
    document_source: str | None = None
    reason_code: str | None = None
    presigned_url_config: dict[str, Any] = field(default_factory=dict)
    job_executions_rollout_config: dict[str, Any] = field(default_factory=dict)
    job_execution_retry_config: dict[str, Any] = field(default_factory=dict)
    scheduling_config: dict[str, Any] = field(default_factory=dict)
    timeout_config: dict[str, Any] = field(default_factory=dict)
    abort_config: dict[str, Any] = field(default_factory=dict)
    document_parameters: dict[str, str] = field(default_factory=dict)


def install(world: World) -> None:
    """Let jobs of deployments be described beside those that were made by request."""
    import moto.iot.models as models

    original = models.IoTBackend.describe_job

    def describe_job(backend: Any, job_id: str) -> Any:
        greengrass = world.part(Greengrass)
        deployment = greengrass.deployments.get(job_id)
        return original(backend, job_id) if deployment is None else _job(world, greengrass, deployment)

    models.IoTBackend.describe_job = describe_job


def _job(world: World, greengrass: Greengrass, deployment: Deployment) -> DeploymentJob:
    over = deployment.status in ("INACTIVE", "CANCELED")
    counts: Counter[str] = Counter()
    for thing in _members(world, deployment.target):
        word = _word(greengrass, deployment, thing)
        # What had not ended when the job was cancelled is cancelled with it.
        counts["Canceled" if over and word in ("Queued", "InProgress") else word] += 1
    made = datetime.fromtimestamp(deployment.created, UTC)
    return DeploymentJob(
        job_id=deployment.identity,
        job_arn=f"arn:aws:iot:{world.region}:{ACCOUNT}:job/{deployment.identity}",
        targets=[deployment.target],
        status="CANCELED" if over else "IN_PROGRESS",
        job_process_details={f"numberOf{name}Things": counts[name] for name in _COUNTED},
        created_at=made,
        last_updated_at=made,
    )


def _word(greengrass: Greengrass, deployment: Deployment, thing: str) -> str:
    device = greengrass.devices.get(thing)
    if device is None:
        return "Queued"
    greengrass.settle_device(device)
    execution = device.executions.get(deployment.identity)
    return "Queued" if execution is None else _WORDS[execution.status]


def _members(world: World, target: str) -> list[str]:
    """Things of a group, or the one thing that is the target."""
    from moto.iot.models import iot_backends

    backend = iot_backends[ACCOUNT][world.region]
    for group in backend.thing_groups.values():
        if group.arn == target:
            return [thing.thing_name for thing in group.things.values()]
    return [thing.thing_name for thing in backend.things.values() if thing.arn == target]
