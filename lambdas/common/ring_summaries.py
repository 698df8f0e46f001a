"""The table of rings: what the last count of each ring's devices found. Its key ``ring`` is ``<fleet>/<ring>``."""

from __future__ import annotations

from typing import Any, Final

from lambdas.common.requests import asking, unless_condition_fails
from vedette.contracts.ring_summary import RingSummary

#: Fleets up to this size are counted when somebody asks, so that a small one is quick; larger ones wait for the clock.
SMALL_FLEET: Final = 1000


def read_summary(client: Any, table: str, fleet: str, ring: str) -> RingSummary | None:
    """The last count of a ring; None where it was never counted.

    Raises:
        CloudError: V003, the table refused.
    """
    with asking("the table of rings"):
        found = client.get_item(TableName=table, Key={"ring": {"S": f"{fleet}/{ring}"}}, ConsistentRead=True)
    return RingSummary.model_validate_json(found["Item"]["summary"]["S"]) if "Item" in found else None


def write_summary(client: Any, table: str, fleet: str, ring: str, summary: RingSummary) -> None:
    """Keep a count, unless a later one was kept meanwhile.

    Raises:
        CloudError: V003, the table refused.
    """
    with asking("the table of rings"), unless_condition_fails():
        client.put_item(
            TableName=table,
            Item={
                "ring": {"S": f"{fleet}/{ring}"},
                "counted_at": {"N": str(summary.counted_at)},
                "summary": {"S": summary.model_dump_json()},
            },
            ConditionExpression="attribute_not_exists(ring) OR counted_at < :at",
            ExpressionAttributeValues={":at": {"N": str(summary.counted_at)}},
        )
