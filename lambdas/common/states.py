"""A device's item in the table of devices, as the functions that watch devices write and read it.

Attributes beside those of the registration: ``last_seen_ms`` and ``health_ms`` (of the newest message), ``version``,
``conditions`` (separated by commas), ``cameras_down``, ``health`` (the message), and of the connection ``connected``,
``connection_version``, ``connection_ms``. Numbers ending in ``_ms`` are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lambdas.common.requests import asking, unless_condition_fails
from vedette.contracts.fleet_metrics import Condition
from vedette.core.fleet.device_state import DeviceView
from vedette.core.fleet.presence import Presence

Item = Mapping[str, Mapping[str, Any]]

_CONDITIONS: Final = {condition.value: condition for condition in Condition}


class DeviceStates:
    """The table.

    Args:
        client: of DynamoDB.
        table: of devices.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, thing: str) -> Item | None:
        """A device's item; None where nobody registered it.

        Raises:
            CloudError: V003, the table refused.
        """
        with asking("the table of devices"):
            read = self._client.get_item(TableName=self._table, Key={"thing": {"S": thing}}, ConsistentRead=True)
        item: Item | None = read.get("Item")
        return item

    def write(self, before: Item, values: Mapping[str, Mapping[str, Any]], unchanged: str) -> bool:
        """Set attributes, if ``unchanged`` still is what it was in ``before``; whether that was so.

        Raises:
            CloudError: V003, the table refused.
        """
        names = {f"#{at}": name for at, name in enumerate(values)} | {"#thing": "thing", "#unchanged": unchanged}
        told = {f":{at}": value for at, value in enumerate(values.values())}
        if unchanged in before:
            condition = "#unchanged = :unchanged"
            told[":unchanged"] = before[unchanged]
        else:
            condition = "attribute_not_exists(#unchanged)"
        with asking("the table of devices"), unless_condition_fails() as found:
            self._client.update_item(
                TableName=self._table,
                Key={"thing": before["thing"]},
                UpdateExpression="SET " + ", ".join(f"#{at} = :{at}" for at in range(len(values))),
                ConditionExpression=f"attribute_exists(#thing) AND {condition}",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=told,
            )
        return not found


def whose(item: Item) -> dict[str, str]:
    """What an event says of the device: thing, fleet, ring, site."""
    return {name: str(item[name]["S"]) for name in ("thing", "fleet", "ring", "site") if name in item}


def conditions_of(item: Item) -> tuple[Condition, ...]:
    """What was wrong by the newest message; conditions that a newer release wrote are left out."""
    names = item.get("conditions", {}).get("S", "").split(",")
    return tuple(_CONDITIONS[name] for name in names if name in _CONDITIONS)


def presence_of(item: Item) -> Presence | None:
    """The newest event of the connection."""
    if "connection_ms" not in item:
        return None
    return Presence(
        connected=bool(item["connected"]["BOOL"]),
        version=int(item["connection_version"]["N"]),
        at_ms=int(item["connection_ms"]["N"]),
    )


def view(item: Item) -> DeviceView:
    """What is counted of the device."""
    presence = presence_of(item)
    seen = item.get("last_seen_ms")
    return DeviceView(
        ring=item.get("ring", {}).get("S", ""),
        version=item.get("version", {}).get("S", ""),
        last_seen_s=int(seen["N"]) / 1000 if seen is not None else None,
        connected=presence.connected if presence is not None else None,
        connection_s=presence.at_ms / 1000 if presence is not None else 0.0,
        conditions=conditions_of(item),
        cameras_down=int(item.get("cameras_down", {}).get("N", "0")),
    )
