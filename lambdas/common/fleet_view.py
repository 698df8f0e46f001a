"""A ring as Greengrass and the table of devices see it."""

from __future__ import annotations

import hashlib

from lambdas.common.own_devices import note
from lambdas.common.ring_summaries import SMALL_FLEET, read_summary
from lambdas.common.rollout_store import Store
from lambdas.common.runtime import client
from vedette.contracts.account import BY_FLEET, ring_group
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.rollout import DesiredState, device_of
from vedette.core.fleet.document import deployment


def device_count(settings: RolloutSettings, fleet: str, ring: str) -> int:
    """Devices of a ring, for people: of a large fleet those of the last count."""
    if device_of(ring) is not None:
        return 1
    summary = read_summary(client("dynamodb"), settings.rings_table, fleet, ring)
    if summary is not None and summary.fleet_devices > SMALL_FLEET:
        return summary.devices
    pages = (
        client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=settings.devices_table,
            IndexName=BY_FLEET,
            Select="COUNT",
            KeyConditionExpression="fleet = :fleet",
            FilterExpression="ring = :ring",
            ExpressionAttributeValues={":fleet": {"S": fleet}, ":ring": {"S": ring}},
        )
    )
    return sum(int(page["Count"]) for page in pages)


def target(settings: RolloutSettings, fleet: str, ring: str) -> str:
    """ARN of a ring's group, or of the one device that the ring is."""
    if device_of(ring) is not None:
        return settings.groups_arn.removesuffix("thinggroup/") + ring
    return settings.groups_arn + ring_group(fleet, ring)


class StoredRing:
    """One ring, for one rollout.

    Args:
        store: of desired states.
        settings: of the function.
        fleet: of the ring.
        ring: its name.
        rollout_id: makes repeated deployments one.
    """

    def __init__(self, store: Store, settings: RolloutSettings, fleet: str, ring: str, rollout_id: str) -> None:
        self._store, self._settings = store, settings
        self._fleet, self._ring, self._rollout_id = fleet, ring, rollout_id

    def newest(self) -> DesiredState:
        """The newest desired state."""
        return self._store.newest(self._fleet, self._ring)

    def put(self, state: DesiredState) -> bool:
        """Add a version, unless there is one of this number."""
        return self._store.put(state, f"rollout {self._rollout_id}")

    def deploy(self, state: DesiredState, *, watched: bool) -> str:
        """Make it the ring's deployment; the same rollout's same version makes one deployment, however often asked."""
        # Of this rollout, not of the version alone: where another rollout's older deployment has come after the
        # newest one, the newest must be made anew, and the same token would only answer with the old one. So it is
        # where the change was there before the rollout: what restores it is of the same version, and is not stopped.
        what = f"{self._rollout_id} {self._fleet}/{self._ring} {state.version}" + ("" if watched else " unwatched")
        token = hashlib.sha256(what.encode()).hexdigest()
        request = deployment(state, target(self._settings, self._fleet, self._ring), watched=watched)
        if (thing := device_of(self._ring)) is not None:
            # Before the deployment, so that a change of the device's ring finds it; settling does it again, and the
            # last one notes the newest state.
            note(self._settings, self._fleet, thing, state.applications)
        return str(client("greengrassv2").create_deployment(**request, clientToken=token)["deploymentId"])
