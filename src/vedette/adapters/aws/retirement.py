"""Taking a device out of the fleet for good: it loses everything it could do, then the record says so.

Every step can be repeated, and the record is written last: a retirement that broke off is finished by asking again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.adapters.aws.devices import Devices
from vedette.contracts.device import RETIRED, RETIRED_FLEET
from vedette.core.fleet.device_item import Item, retired_s, text

#: Of the item: what a device that is gone does not say any more.
_FORGOTTEN: Final = ("conditions", "cameras_down", "connected", "connection_version", "connection_ms", "fleet")


class Retirement:
    """Retires devices.

    Args:
        account: with the stacks.
        clock: seconds since 1970.
    """

    def __init__(self, account: Account, *, clock: Callable[[], float] = time.time) -> None:
        self._account = account
        self._devices = Devices(account)
        self._clock = clock

    def retire(self, item: Item, told: Callable[[str], None] = lambda _: None) -> None:
        """Retire a device; one that is retired already is looked through once more.

        Args:
            item: of the table of devices.
            told: called with what was done, step by step.

        Raises:
            CloudError: V001 to V003; what was done until then stays done.
        """
        thing = text(item, "thing")
        self._void(item)
        told("registration and token are void")
        for certificate in self._devices.certificates(thing):
            self._revoke(thing, certificate.certificate_id, certificate.arn)
            told(f"certificate {certificate.certificate_id[:12]}… is revoked")
        for group in self._devices.groups(thing):
            with aws_errors("the device's group"):
                self._account.client("iot").remove_thing_from_thing_group(thingName=thing, thingGroupName=group)
            told(f"is in group {group} no more")
        self._forget_core(thing)
        if retired_s(item) is None:
            self._record(item)
        told("is retired")

    def _void(self, item: Item) -> None:
        client = self._account.client("dynamodb")
        with aws_errors("the registration"):
            try:
                client.delete_item(
                    TableName=self._account.made("registrations-table"),
                    Key={"serial": item["serial"]},
                    # The serial number may have been registered again, under another name.
                    ConditionExpression="attribute_not_exists(#serial) OR thing = :thing",
                    ExpressionAttributeNames={"#serial": "serial"},
                    ExpressionAttributeValues={":thing": item["thing"]},
                )
            except client.exceptions.ConditionalCheckFailedException:
                return

    def _revoke(self, thing: str, certificate_id: str, arn: str) -> None:
        iot = self._account.client("iot")
        with aws_errors("the device's certificate"):
            # Inactive first: from here on the device can do nothing, whatever comes after.
            iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
            for policy in iot.list_attached_policies(target=arn)["policies"]:
                iot.detach_policy(policyName=policy["policyName"], target=arn)
            iot.update_certificate(certificateId=certificate_id, newStatus="REVOKED")
            # Last: by the attachment a repetition finds the certificate.
            iot.detach_thing_principal(thingName=thing, principal=arn)

    def _forget_core(self, thing: str) -> None:
        greengrass = self._account.client("greengrassv2")
        with aws_errors("Greengrass's device"):
            try:
                greengrass.delete_core_device(coreDeviceThingName=thing)
            except greengrass.exceptions.ResourceNotFoundException:
                return

    def _record(self, item: Item) -> None:
        forgotten = {f"#{at}": name for at, name in enumerate(_FORGOTTEN)}
        with aws_errors("the table of devices"):
            self._account.client("dynamodb").update_item(
                TableName=self._account.made("devices-table"),
                Key={"thing": item["thing"]},
                UpdateExpression=f"SET {RETIRED} = :now, {RETIRED_FLEET} = :fleet REMOVE {', '.join(forgotten)}",
                ConditionExpression=f"attribute_exists(thing) AND attribute_not_exists({RETIRED})",
                ExpressionAttributeNames=forgotten,
                ExpressionAttributeValues={
                    ":now": {"N": str(int(self._clock() * 1000))},
                    ":fleet": item.get("fleet", {"S": ""}),
                },
            )
