"""How far each outbox epoch of each device is complete.

Items have no end: a device that comes back after years goes on where it was, and without its item the numbers that it
deleted long ago would be missing for ever. An outbox has one epoch until its file is damaged, so items are few.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lambdas.common.requests import asking, unless_condition_fails
from vedette.contracts.errors import CloudError
from vedette.core.fleet.acknowledgement import Progress, Range

#: Of two that write at the same time one is refused and does it again; ten calls at most work on one device's messages.
ATTEMPTS: Final = 12


class Sequences:
    """The table.

    Args:
        client: of DynamoDB.
        table: its name.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def record(self, thing: str, epoch: str, ranges: Iterable[Range]) -> int:
        """Add what is in the ledger now; the number through which nothing is missing, 0 where 1 is.

        Raises:
            CloudError: V003, the table refused, or others were always faster.
        """
        stream, known = f"{thing}#{epoch}", tuple(ranges)
        with asking("the table of sequences"):
            for _ in range(ATTEMPTS):
                version, before = self._read(stream)
                after = before.extended(known)
                if after == before or self._write(stream, version, after):
                    return after.through
        raise CloudError(f"the sequence {stream} is being written by too many at once.", retryable=True)

    def _read(self, stream: str) -> tuple[int, Progress]:
        read = self._client.get_item(TableName=self._table, Key={"stream": {"S": stream}}, ConsistentRead=True)
        item = read.get("Item")
        if item is None:
            return 0, Progress()
        return int(item["version"]["N"]), Progress.stored(int(item["through"]["N"]), item["ranges"]["S"])

    def _write(self, stream: str, version: int, progress: Progress) -> bool:
        """Whether nobody else has written since ``version``."""
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": "stream"},
        }
        if version:
            condition = {
                "ConditionExpression": "#key = :version",
                "ExpressionAttributeNames": {"#key": "version"},
                "ExpressionAttributeValues": {":version": {"N": str(version)}},
            }
        with unless_condition_fails() as found:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "stream": {"S": stream},
                    "version": {"N": str(version + 1)},
                    "through": {"N": str(progress.through)},
                    "ranges": {"S": progress.text()},
                },
                **condition,
            )
        return not found
