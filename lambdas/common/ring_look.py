"""How a ring is doing: a handful of requests, however many devices it has."""

from __future__ import annotations

import json
from typing import Final

from lambdas.common.fleet_view import target
from lambdas.common.ring_summaries import SMALL_FLEET, read_summary
from lambdas.common.runtime import client
from lambdas.common.states import DeviceStates, view
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.ring_summary import RingSummary
from vedette.contracts.rollout import GatePolicy, RingCounts, RingStep, Verdict, device_of
from vedette.core.fleet.gate import Finding
from vedette.core.fleet.ring_view import JobCounts, RingTally, Unwell, counted, job_counts, one_device, unwell

#: A device that came back is counted again by then, where a rollout asks for counts.
_RENEWED_S: Final = 60
#: How old a count may be that tells how a ring was before it was changed: two rounds of the clock.
_LATELY_S: Final = 120


def before(settings: RolloutSettings, fleet: str, ring: str, *, now_s: float) -> tuple[Unwell, int] | None:
    """What is wrong with which device of a ring that is about to be changed, and how many it has.

    None until it was counted lately.

    Args:
        settings: of the function.
        fleet: of the ring.
        ring: its name.
        now_s: seconds since 1970.
    """
    summary, fresh = _last_count(settings, fleet, ring, since_s=now_s - _LATELY_S, now_s=now_s)
    return (unwell(summary), summary.devices) if summary is not None and fresh else None


def look(
    settings: RolloutSettings, fleet: str, step: RingStep, policy: GatePolicy, *, now_s: float
) -> tuple[RingCounts, tuple[Finding, ...]]:
    """A ring that was changed, in numbers, and what keeps the gate from judging by them yet.

    How devices are is judged by a count that began when the soak was over: an earlier one is no evidence.

    Args:
        settings: of the function.
        fleet: of the ring.
        step: the ring's part in the rollout.
        policy: of the rollout.
        now_s: seconds since 1970.
    """
    judged_from = (step.settled_at or step.began_at or int(now_s)) + policy.soak_s
    summary, fresh = _last_count(settings, fleet, step.ring, since_s=judged_from, now_s=now_s)
    counts = counted(summary, _job(settings, fleet, step.ring), step.unwell_before)
    stale = Finding(Verdict.WAIT, "the devices have not been counted since the soak was over")
    return counts, () if fresh else (stale,)


def _last_count(
    settings: RolloutSettings, fleet: str, ring: str, *, since_s: float, now_s: float
) -> tuple[RingSummary | None, bool]:
    """The last count of a ring's devices, and whether it began at ``since_s`` or later.

    Where it did not and should have, or is not of the last minute any more, a new one is asked for, unless the fleet is
    so large that the clock's next one is soon enough.
    """
    if (thing := device_of(ring)) is not None:
        return _one(settings, thing, now_s), True
    summary = read_summary(client("dynamodb"), settings.rings_table, fleet, ring)
    fresh = summary is not None and summary.counted_at >= since_s
    small = summary is None or summary.fleet_devices <= SMALL_FLEET
    lately = summary is not None and summary.counted_at >= now_s - _RENEWED_S
    if small and now_s >= since_s and not (fresh and lately):
        client("sqs").send_message(QueueUrl=settings.count_queue, MessageBody=json.dumps({"count": fleet}))
    return summary, fresh


def _job(settings: RolloutSettings, fleet: str, ring: str) -> JobCounts:
    """What the devices of a ring made of its newest deployment, whoever made that.

    Four requests at most. A job is cancelled when another deployment takes its place; if that happened between the
    requests, the counters say nothing of the newest, of which nothing is known yet.
    """
    group = target(settings, fleet, ring)
    newest = _newest(group)
    if newest is None:
        return JobCounts()
    if (thing := device_of(ring)) is not None:
        return one_device(_state(thing, group, newest))
    deployment = client("greengrassv2").get_deployment(deploymentId=newest)
    if "iotJobId" not in deployment:
        return JobCounts()
    iot = client("iot")
    try:
        job = iot.describe_job(jobId=deployment["iotJobId"])["job"]
    except iot.exceptions.ResourceNotFoundException:
        return JobCounts()
    if job.get("status") == "CANCELED" and _newest(group) != newest:
        return JobCounts()
    return job_counts(job.get("jobProcessDetails", {}))


def _newest(group: str) -> str | None:
    latest = client("greengrassv2").list_deployments(targetArn=group, historyFilter="LATEST_ONLY")["deployments"]
    return str(latest[0]["deploymentId"]) if latest else None


def _one(settings: RolloutSettings, thing: str, now_s: float) -> RingSummary:
    """A ring that is one device, as it is now."""
    tally = RingTally()
    item = DeviceStates(client("dynamodb"), settings.devices_table).read(thing)
    if item is not None:
        tally.add(thing, view(item), now_s)
    return tally.summary(int(now_s), 1)


def _state(thing: str, target_arn: str, newest: str) -> str | None:
    """How one device fares with a deployment.

    Returns:
        AWS's word, ``QUEUED`` until the device has heard of it; None for a device that Greengrass has never seen.
    """
    greengrass = client("greengrassv2")
    try:
        for page in greengrass.get_paginator("list_effective_deployments").paginate(coreDeviceThingName=thing):
            for one in page["effectiveDeployments"]:
                if one["targetArn"] == target_arn and one["deploymentId"] == newest:
                    return str(one["coreDeviceExecutionStatus"])
    except greengrass.exceptions.ResourceNotFoundException:
        return None
    return "QUEUED"
