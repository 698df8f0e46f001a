"""Registering a device in the account: its record, and a token with which one machine may become it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.account import CLAIM_CLIENT, CLAIM_UUID, DEFAULT_FLEET, RINGS, fleet_group, ring_group
from vedette.contracts.base import mistakes
from vedette.contracts.device import RETIRED, RETIRED_FLEET, DeviceRecord
from vedette.contracts.errors import CloudError
from vedette.core.fleet.registration import DEFAULT_VALID_S, TOKEN_BYTES, digest


@dataclass(frozen=True, slots=True)
class NewDevice:
    """What goes into the device's bundle.

    Attributes:
        device: its record.
        token: good once, until ``expires_at``; it is stored nowhere and cannot be shown again.
        expires_at: seconds since 1970.
    """

    device: DeviceRecord
    token: str
    expires_at: int


class Registry:
    """Registrations of one account and stage.

    Args:
        account: with the stacks.
        clock: seconds since 1970.
    """

    def __init__(self, account: Account, *, clock: Callable[[], float] = time.time) -> None:
        self._account = account
        self._clock = clock

    def register(
        self,
        serial: str,
        *,
        fleet: str = DEFAULT_FLEET,
        ring: str = RINGS[-1],
        site: str = "site",
        thing: str | None = None,
        valid_s: int = DEFAULT_VALID_S,
        again: bool = False,
    ) -> NewDevice:
        """Register a serial number, or make a new token for one that is registered.

        Args:
            serial: as it stands on the device.
            fleet: it belongs to.
            ring: of that fleet; set once, because components stay on a device that leaves a group.
            site: where it is.
            thing: its name; the serial number, with ``-`` for each dot, where None.
            valid_s: how long the token is good, seconds.
            again: take a device that was retired, too; its fleet and ring may be others than before.

        Returns:
            The device and its token.

        Raises:
            CloudError: V012 a value is not allowed, or serial number or name are another device's; V001 to V003.
        """
        device = _record(serial, fleet, ring, site, thing)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        expires_at = int(self._clock()) + valid_s
        client = self._account.client("dynamodb")
        writes = [self._device_write(device, again=again), self._registration_write(device, digest(token), expires_at)]
        try:
            with aws_errors("the registration"):
                client.transact_write_items(TransactItems=writes)
        except CloudError as error:
            if "ConditionalCheckFailed" in error.message:
                raise self._refusal(device) from None
            raise
        return NewDevice(device=device, token=token, expires_at=expires_at)

    def check_ring(self, fleet: str, ring: str) -> None:
        """Refuse a ring that the stacks did not make: a device in it would never get anything, and cannot leave it.

        Args:
            fleet: of the ring.
            ring: without the fleet's name.

        Raises:
            CloudError: V012 there is no such ring or fleet, with those that there are; V001 to V003.
        """
        iot = self._account.client("iot")
        with aws_errors("the ring's group"):
            try:
                iot.describe_thing_group(thingGroupName=ring_group(fleet, ring))
                return
            except iot.exceptions.ResourceNotFoundException:
                pass
            pages = list(iot.get_paginator("list_thing_groups").paginate(namePrefixFilter=fleet_group("")))
        groups = [one["groupName"] for page in pages for one in page["thingGroups"]]
        within = f"{fleet_group(fleet)}-"
        rings = sorted(name.removeprefix(within) for name in groups if name.startswith(within))
        hint = "Fleets and their rings are a setting of the stacks: docs/cloud.md."
        if rings:
            raise CloudError(
                f"fleet {fleet!r} has no ring {ring!r}; it has: {', '.join(rings)}.", hint=hint, code="V012"
            )
        fleets = sorted(
            name.removeprefix(fleet_group("")) for name in groups if any(one.startswith(f"{name}-") for one in groups)
        )
        raise CloudError(
            f"there is no fleet {fleet!r}; there are: {', '.join(fleets) or 'none'}.", hint=hint, code="V012"
        )

    def _refusal(self, device: DeviceRecord) -> CloudError:
        table = self._account.made("devices-table")
        with aws_errors("the table of devices"):
            found = self._account.client("dynamodb").get_item(TableName=table, Key={"thing": {"S": device.thing}})
        item = found.get("Item", {})
        same = item.get("serial", {}).get("S") == device.serial
        if RETIRED in item and same:
            return CloudError(
                f"the device {device.thing!r} with serial number {device.serial!r} was retired.",
                hint="If the machine is to be a device once more: --again",
                code="V012",
            )
        there = tuple(item.get(key, {}).get("S", "") for key in ("fleet", "ring"))
        if same and there != (device.fleet, device.ring):
            return CloudError(
                f"{device.thing!r} is registered in fleet and ring {'/'.join(there)}, not in "
                f"{device.fleet}/{device.ring}.",
                hint="A device's fleet and ring are set once. To move the machine: vedette device retire "
                f"{device.thing}, then register it with --again",
                code="V012",
            )
        return _taken(device)

    def _device_write(self, device: DeviceRecord, *, again: bool) -> dict[str, Any]:
        # An update, not a put: a device that is registered again keeps what is known of its state.
        same = f"fleet = :fleet AND ring = :ring AND attribute_not_exists({RETIRED})"
        if again:
            same = f"(({same}) OR attribute_exists({RETIRED}))"
        return {
            "Update": {
                "TableName": self._account.made("devices-table"),
                "Key": {"thing": {"S": device.thing}},
                "UpdateExpression": "SET #serial = :serial, fleet = :fleet, ring = :ring, site = :site"
                f" REMOVE {RETIRED}, {RETIRED_FLEET}",
                "ConditionExpression": f"attribute_not_exists(thing) OR (#serial = :serial AND {same})",
                "ExpressionAttributeNames": {"#serial": "serial"},
                "ExpressionAttributeValues": {
                    ":serial": {"S": device.serial},
                    ":fleet": {"S": device.fleet},
                    ":ring": {"S": device.ring},
                    ":site": {"S": device.site},
                },
            }
        }

    def _registration_write(self, device: DeviceRecord, token_sha256: str, expires_at: int) -> dict[str, Any]:
        # A put: the mark of an earlier certificate goes with the earlier token.
        item = {name: {"S": value} for name, value in device.model_dump().items()}
        item |= {"token_sha256": {"S": token_sha256}, "expires_at": {"N": str(expires_at)}}
        return {
            "Put": {
                "TableName": self._account.made("registrations-table"),
                "Item": item,
                "ConditionExpression": "attribute_not_exists(#serial) OR thing = :thing",
                "ExpressionAttributeNames": {"#serial": "serial"},
                "ExpressionAttributeValues": {":thing": {"S": device.thing}},
            }
        }


def _record(serial: str, fleet: str, ring: str, site: str, thing: str | None) -> DeviceRecord:
    try:
        device = DeviceRecord(
            thing=serial.replace(".", "-") if thing is None else thing,
            serial=serial,
            fleet=fleet,
            ring=ring,
            site=site,
        )
    except ValidationError as error:
        wrong = "; ".join(mistakes(error))
        raise CloudError(f"the device cannot be registered: {wrong}.", code="V012") from None
    if device.thing.startswith(CLAIM_CLIENT) or fnmatchcase(device.thing, CLAIM_UUID):
        raise CloudError(
            f"thing: {device.thing!r} looks like the name of a machine that is not a device yet "
            f"({CLAIM_CLIENT}… or a UUID).",
            hint="Give it another name.",
            code="V012",
        )
    return device


def _taken(device: DeviceRecord) -> CloudError:
    return CloudError(
        f"serial number {device.serial!r} or name {device.thing!r} is registered for another device.",
        hint="Which: vedette device show NAME. A different name makes a different device: --thing NAME",
        code="V012",
    )
