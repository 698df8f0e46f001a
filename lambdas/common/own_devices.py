"""Devices that have applications of their own, beside those of their ring.

AWS gives a device what all deployments that reach it name, and refuses two that name different versions of one
component. So an application is a device's own or its ring's, never both.

One item for each fleet holds a set of texts ``<thing> <application>``, which DynamoDB adds to and takes from by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lambdas.common.rollout_store import Store
from lambdas.common.runtime import client
from lambdas.common.states import DeviceStates, Item
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.rollout import MAX_OWN_DEVICES, ApplicationChange, Change, device_of
from vedette.core.fleet.device_item import text

#: Devices that a refusal names.
_NAMED: Final = 3


def registered(settings: RolloutSettings, fleet: str, thing: str) -> Item | None:
    """The item of a device of a fleet; None where there is none, or it was retired."""
    item = DeviceStates(client("dynamodb"), settings.devices_table).read(thing)
    return item if item is not None and text(item, "fleet") == fleet else None


def own_applications(settings: RolloutSettings, fleet: str) -> dict[str, tuple[str, ...]]:
    """Device → applications of its own, by name; some of the devices may be gone."""
    found = client("dynamodb").get_item(TableName=settings.rollouts_table, Key=_key(fleet), ConsistentRead=True)
    entries = found.get("Item", {}).get("entries", {}).get("SS", ())
    own: dict[str, tuple[str, ...]] = {}
    for entry in sorted(entries):
        thing, _, application = entry.partition(" ")
        own[thing] = (*own.get(thing, ()), application)
    return own


def note(settings: RolloutSettings, fleet: str, thing: str, applications: Iterable[str]) -> None:
    """What a device has of its own, from now on."""
    before, after = set(own_applications(settings, fleet).get(thing, ())), set(applications)
    for word, changed in (("ADD", after - before), ("DELETE", before - after)):
        if changed:
            _change(settings, fleet, word, {f"{thing} {application}" for application in changed})


def conflict(settings: RolloutSettings, store: Store, fleet: str, ring: str, change: Change) -> str | None:
    """Why a change cannot be deployed beside what the same devices have from elsewhere; None where it can.

    Args:
        settings: of the function.
        store: of desired states.
        fleet: of the ring.
        ring: that gets the change, or one device.
        change: what it gets.
    """
    if not isinstance(change, ApplicationChange) or change.to is None:
        return None
    if (thing := device_of(ring)) is not None:
        item = registered(settings, fleet, thing)
        whole = text(item, "ring") if item is not None else ""
        if whole and change.name in store.newest(fleet, whole).applications:
            return f"device {thing!r} has application {change.name!r} from its ring {whole!r}"
        return None
    owners = [thing for thing, names in own_applications(settings, fleet).items() if change.name in names]
    things = [thing for thing in owners if text(registered(settings, fleet, thing) or {}, "ring") == ring]
    if not things:
        return None
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    named = ", ".join(repr(thing) for thing in things[:_NAMED])
    return f"of ring {ring!r} {named}{more} run application {change.name!r} on their own"


def room_for(settings: RolloutSettings, fleet: str, thing: str) -> None:
    """Refuse one device more where there are many; those that are gone make room.

    Raises:
        CloudError: V009, there is none.
    """
    own = own_applications(settings, fleet)
    if thing in own or len(own) < MAX_OWN_DEVICES:
        return
    gone = {
        f"{one} {application}"
        for one, names in own.items()
        if registered(settings, fleet, one) is None
        for application in names
    }
    if not gone:
        raise CloudError(
            f"{MAX_OWN_DEVICES} devices of fleet {fleet!r} have applications of their own, which is as many as may.",
            hint="Take one from them, or make a ring of devices that are to differ.",
            code="V009",
        )
    _change(settings, fleet, "DELETE", gone)


def _change(settings: RolloutSettings, fleet: str, word: str, entries: set[str]) -> None:
    client("dynamodb").update_item(
        TableName=settings.rollouts_table,
        Key=_key(fleet),
        UpdateExpression=f"{word} #entries :entries",
        ExpressionAttributeNames={"#entries": "entries"},
        ExpressionAttributeValues={":entries": {"SS": sorted(entries)}},
    )


def _key(fleet: str) -> dict[str, dict[str, str]]:
    # A slash: no rollout has one in its id.
    return {"rollout_id": {"S": f"own/{fleet}"}}
