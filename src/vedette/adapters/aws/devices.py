"""What the account knows of devices: of a fleet in one query, of one device from everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.account import BY_FLEET
from vedette.contracts.errors import CloudError
from vedette.core.fleet.device_item import Item, text

#: Entries of each list that are shown of one device, the newest first.
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of a device.

    Attributes:
        certificate_id: of AWS IoT.
        arn: of it.
        status: ACTIVE, INACTIVE, REVOKED, …
        created: when.
        expires: when; None where AWS does not say.
    """

    certificate_id: str
    arn: str
    status: str
    created: datetime | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDetails:
    """All that is known of one device. What a service has not heard of yet is empty.

    Attributes:
        item: of the table of devices.
        registration: item of the table of registrations; None where it has ended.
        groups: thing groups it is in.
        certificates: of the thing.
        core: what Greengrass says of it.
        components: installed, as Greengrass knows.
        deployments: what became of each, the newest first.
        jobs: executions, the newest first.
    """

    item: Item
    registration: Item | None
    groups: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    core: dict[str, Any] = field(default_factory=dict)
    components: tuple[dict[str, Any], ...] = ()
    deployments: tuple[dict[str, Any], ...] = ()
    jobs: tuple[dict[str, Any], ...] = ()


class Devices:
    """Devices of one account and stage.

    Args:
        account: with the stacks.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    def of_fleet(self, fleet: str) -> Iterator[Item]:
        """The items of a fleet's devices by name, without those that were retired.

        Raises:
            CloudError: V001 to V003.
        """
        table = self._account.made("devices-table")
        with aws_errors("the table of devices"):
            pages = (
                self._account.client("dynamodb")
                .get_paginator("query")
                .paginate(
                    TableName=table,
                    IndexName=BY_FLEET,
                    KeyConditionExpression="fleet = :fleet",
                    ExpressionAttributeValues={":fleet": {"S": fleet}},
                )
            )
            for page in pages:
                yield from page["Items"]

    def core_states(self) -> dict[str, str]:
        """HEALTHY or UNHEALTHY of each core device of the account, as Greengrass says.

        Greengrass's own filter by group knows only groups that were deployed to, and devices that took it.

        Raises:
            CloudError: V001 to V003.
        """
        with aws_errors("Greengrass's list of devices"):
            pages = self._account.client("greengrassv2").get_paginator("list_core_devices")
            found = pages.paginate(PaginationConfig={"PageSize": 100})
            return {one["coreDeviceThingName"]: one["status"] for page in found for one in page["coreDevices"]}

    def item(self, name: str) -> Item:
        """A device's item, by its name or serial number.

        Raises:
            CloudError: V020, there is none; V001 to V003.
        """
        table = self._account.made("devices-table")
        for thing in dict.fromkeys((name, name.replace(".", "-"))):
            found = self._get(table, "thing", thing)
            if found is not None and name in (thing, text(found, "serial")):
                return found
        registered = self._get(self._account.made("registrations-table"), "serial", name)
        found = self._get(table, "thing", text(registered, "thing")) if registered is not None else None
        if found is None:
            raise CloudError(
                f"no device is called {name!r}, by name or by serial number.",
                hint="Which there are: vedette device list --fleet FLEET",
                code="V020",
            )
        return found

    def registration(self, item: Item) -> Item | None:
        """The registration of a device; None where it has ended or is another device's.

        Raises:
            CloudError: V001 to V003.
        """
        found = self._get(self._account.made("registrations-table"), "serial", text(item, "serial"))
        return found if found is not None and text(found, "thing") == text(item, "thing") else None

    def details(self, name: str) -> DeviceDetails:
        """Everything about one device.

        Raises:
            CloudError: V020, there is none; V001 to V003.
        """
        item = self.item(name)
        thing = text(item, "thing")
        iot, greengrass = self._account.client("iot"), self._account.client("greengrassv2")
        missing: tuple[type[Exception], ...] = (
            iot.exceptions.ResourceNotFoundException,
            greengrass.exceptions.ResourceNotFoundException,
        )
        look = _Look(missing)
        core = look.one("Greengrass's device", lambda: dict(greengrass.get_core_device(coreDeviceThingName=thing)))
        return DeviceDetails(
            item=item,
            registration=self.registration(item),
            groups=tuple(self.groups(thing)),
            certificates=self.certificates(thing),
            core={key: value for key, value in (core or {}).items() if key != "ResponseMetadata"},
            components=look.many(
                "the installed components",
                lambda: greengrass.list_installed_components(coreDeviceThingName=thing)["installedComponents"],
            ),
            deployments=look.many(
                "the device's deployments",
                lambda: greengrass.list_effective_deployments(coreDeviceThingName=thing)["effectiveDeployments"],
            )[:_SHOWN],
            jobs=look.many(
                "the device's jobs",
                lambda: iot.list_job_executions_for_thing(thingName=thing, maxResults=_SHOWN)["executionSummaries"],
            ),
        )

    def groups(self, thing: str) -> list[str]:
        """Thing groups that a thing is in; none where there is no such thing.

        Raises:
            CloudError: V001 to V003.
        """
        iot = self._account.client("iot")
        with aws_errors("the device's groups"):
            try:
                pages = iot.get_paginator("list_thing_groups_for_thing").paginate(thingName=thing)
                return [one["groupName"] for page in pages for one in page["thingGroups"]]
            except iot.exceptions.ResourceNotFoundException:
                return []

    def certificates(self, thing: str) -> tuple[Certificate, ...]:
        """Certificates of a thing; none where there is no such thing.

        Raises:
            CloudError: V001 to V003.
        """
        iot = self._account.client("iot")
        with aws_errors("the device's certificates"):
            try:
                pages = iot.get_paginator("list_thing_principals").paginate(thingName=thing)
                arns = [arn for page in pages for arn in page["principals"] if ":cert/" in arn]
            except iot.exceptions.ResourceNotFoundException:
                return ()
            return tuple(self._certificate(arn) for arn in arns)

    def _certificate(self, arn: str) -> Certificate:
        identity = arn.rpartition("/")[2]
        found = self._account.client("iot").describe_certificate(certificateId=identity)["certificateDescription"]
        return Certificate(
            certificate_id=identity,
            arn=arn,
            status=str(found["status"]),
            created=found.get("creationDate"),
            expires=found.get("validity", {}).get("notAfter"),
        )

    def _get(self, table: str, key: str, value: str) -> Item | None:
        with aws_errors(f"the table {table}"):
            found: Item | None = (
                self._account.client("dynamodb")
                .get_item(TableName=table, Key={key: {"S": value}}, ConsistentRead=True)
                .get("Item")
            )
        return found


class _Look:
    """Asks services that may not have heard of the device yet, which is an answer and no failure."""

    def __init__(self, missing: tuple[type[Exception], ...]) -> None:
        self._missing = missing

    def one(self, what: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        with aws_errors(what):
            try:
                return ask()
            except self._missing:
                return None

    def many(self, what: str, ask: Callable[[], list[dict[str, Any]]]) -> tuple[dict[str, Any], ...]:
        with aws_errors(what):
            try:
                return tuple(ask())
            except self._missing:
                return ()
