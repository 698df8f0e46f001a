"""A device's item in the table of devices, as the functions that watch devices write and read it.

What is in an item: ``vedette.core.fleet.device_item``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdas.common.requests import asking, unless_condition_fails
from vedette.core.fleet.device_item import Item, conditions_of, presence_of, view, whose

__all__ = ("DeviceStates", "Item", "conditions_of", "presence_of", "view", "whose")


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
