"""A ring as Greengrass and the table of devices see it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from lambdas.common.rollout_store import Store
from lambdas.common.runtime import client
from lambdas.common.states import Item, view
from vedette.contracts.account import BY_FLEET, ring_group
from vedette.contracts.fleet_metrics import Condition
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.rollout import DesiredState
from vedette.core.fleet.device_state import standing
from vedette.core.fleet.document import deployment
from vedette.core.fleet.ring_view import SeenDevice

#: Devices that Greengrass is asked about at once.
_AT_ONCE: Final = 8


def devices(settings: RolloutSettings, fleet: str, ring: str) -> list[Item]:
    """Items of the devices of a ring, by name."""
    pages = (
        client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=settings.devices_table,
            IndexName=BY_FLEET,
            KeyConditionExpression="fleet = :fleet",
            FilterExpression="ring = :ring",
            ExpressionAttributeValues={":fleet": {"S": fleet}, ":ring": {"S": ring}},
        )
    )
    return [item for page in pages for item in page["Items"]]


def target(settings: RolloutSettings, fleet: str, ring: str) -> str:
    """ARN of a ring's group."""
    return settings.groups_arn + ring_group(fleet, ring)


def seen(settings: RolloutSettings, fleet: str, ring: str, *, now_s: float) -> list[SeenDevice]:
    """How each device of a ring is, and how far it is with the newest deployment.

    A device that never told how it is counts as online and well: Greengrass answers for it. One that Greengrass has
    never seen either is offline.

    Args:
        settings: of the function.
        fleet: of the ring.
        ring: its name.
        now_s: seconds since 1970.
    """
    group = target(settings, fleet, ring)
    latest = client("greengrassv2").list_deployments(targetArn=group, historyFilter="LATEST_ONLY")["deployments"]
    newest = latest[0]["deploymentId"] if latest else None

    def look(item: Item) -> SeenDevice:
        thing, wrong = str(item["thing"]["S"]), frozenset(standing(view(item), now_s))
        state = None if Condition.OFFLINE in wrong else _state(thing, group, newest)
        if state is None:
            return SeenDevice(thing, frozenset({Condition.OFFLINE}), "")
        return SeenDevice(thing, wrong, state)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(look, devices(settings, fleet, ring)))


def _state(thing: str, group: str, newest: str | None) -> str | None:
    """How a device fares with a deployment.

    Returns:
        AWS's word, ``QUEUED`` until the device has heard of it; None for a device that Greengrass has never seen.
    """
    greengrass = client("greengrassv2")
    try:
        for page in greengrass.get_paginator("list_effective_deployments").paginate(coreDeviceThingName=thing):
            for one in page["effectiveDeployments"]:
                if one["targetArn"] == group and one["deploymentId"] == newest:
                    return str(one["coreDeviceExecutionStatus"])
    except greengrass.exceptions.ResourceNotFoundException:
        return None
    return "QUEUED"


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

    def deploy(self, state: DesiredState) -> str:
        """Make it the ring's deployment; the same rollout's same version makes one deployment, however often asked."""
        # Of this rollout, not of the version alone: where another rollout's older deployment has come after the
        # newest one, the newest must be made anew, and the same token would only answer with the old one.
        token = hashlib.sha256(f"{self._rollout_id} {self._fleet}/{self._ring} {state.version}".encode()).hexdigest()
        request = deployment(state, target(self._settings, self._fleet, self._ring))
        return str(client("greengrassv2").create_deployment(**request, clientToken=token)["deploymentId"])
