"""Comparisons of versions in the table of rollouts: one item for each rollout, which ends by itself."""

from __future__ import annotations

from typing import Any, Final

from lambdas.common.requests import asking, unless_condition_fails
from vedette.contracts.comparison import Comparison
from vedette.core.fleet.comparison_book import text

#: How long a comparison is kept after its last report, seconds; the rollout keeps what came of it.
_KEPT_S: Final = 30 * 86400


def read_comparison(client: Any, table: str, rollout_id: str) -> tuple[Comparison, int]:
    """What devices have told, and the revision; 0 where none has.

    Raises:
        CloudError: V003, the table refused.
    """
    with asking("the table of rollouts"):
        item = client.get_item(TableName=table, Key=_key(rollout_id), ConsistentRead=True).get("Item")
    if item is None:
        return Comparison(rollout_id=rollout_id), 0
    return Comparison.model_validate_json(item["reports"]["S"]), int(item["revision"]["N"])


def write_comparison(client: Any, table: str, comparison: Comparison, revision: int, *, now_s: int) -> bool:
    """Write it over the revision that it was made from; False where somebody else has written.

    Raises:
        CloudError: V003, the table refused.
    """
    with asking("the table of rollouts"), unless_condition_fails() as found:
        client.put_item(
            TableName=table,
            Item={
                **_key(comparison.rollout_id),
                "revision": {"N": str(revision + 1)},
                "reports": {"S": text(comparison)},
                "expires": {"N": str(now_s + _KEPT_S)},
            },
            ConditionExpression="attribute_not_exists(rollout_id)" if revision == 0 else "revision = :was",
            **({} if revision == 0 else {"ExpressionAttributeValues": {":was": {"N": str(revision)}}}),
        )
    return not found


def _key(rollout_id: str) -> dict[str, dict[str, str]]:
    # A slash: no rollout has one in its id.
    return {"rollout_id": {"S": f"comparison/{rollout_id}"}}
