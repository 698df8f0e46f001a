"""The ledger's table: one row for each alert, and who is telling people of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from lambdas.common.requests import asking, unless_condition_fails
from vedette.contracts.alert import Alert, CloudAlert
from vedette.contracts.errors import CloudError
from vedette.core.fleet.archive import Place, utc

#: Whoever made or took over a row tells people of it within this time, or somebody else may. Longer than the function
#: can run, and shorter than the queue's pause between two deliveries, so that no delivery is wasted on a lease.
LEASE_S: Final = 90
DAY_S: Final = 86_400


class Telling(Enum):
    """Who tells people of an alert."""

    OURS = "ours"
    BUSY = "busy"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of an alert that was put into the ledger. It is durable in each case.

    Attributes:
        telling: whether to tell people of it.
        sent: channels that have it already; after a failure only the others are repeated.
    """

    telling: Telling
    sent: frozenset[str] = frozenset()


class LedgerRows:
    """The table.

    Args:
        client: of DynamoDB.
        table: its name.
        days: how long a row is kept.
    """

    def __init__(self, client: Any, table: str, days: int) -> None:
        self._client = client
        self._table = table
        self._days = days

    def keep(self, message: CloudAlert, place: Place, now_s: float) -> Row:
        """Make the row, or find it; take the lease where it is free.

        Raises:
            CloudError: V011, the identifier is another device's alert; V003, the table refused: nothing is known.
        """
        alert = message.alert
        with asking("the ledger's table"):
            with unless_condition_fails() as found:
                self._client.put_item(
                    TableName=self._table,
                    Item=self._item(message, place, now_s),
                    ConditionExpression="attribute_not_exists(alert_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            if not found:
                return Row(Telling.OURS)
            (item,) = found
            _check_owner(item, alert)
            if "notified_at" in item:
                return Row(Telling.DONE)
            return self._take_over(alert.alert_id, now_s)

    def told(self, alert_id: str, now_s: float) -> None:
        """Everybody has it.

        Raises:
            CloudError: V003, the table refused.
        """
        with asking("the ledger's table"):
            self._client.update_item(
                TableName=self._table,
                Key={"alert_id": {"S": alert_id}},
                UpdateExpression="SET notified_at = :now REMOVE notifying_until, sent",
                ConditionExpression="attribute_exists(alert_id)",
                ExpressionAttributeValues={":now": {"S": _text(now_s)}},
            )

    def not_told(self, alert_id: str, sent: frozenset[str]) -> None:
        """Some have it: give the lease back, so that the next delivery tells the others.

        Raises:
            CloudError: V003, the table refused.
        """
        add = " ADD sent :sent" if sent else ""
        values: dict[str, Any] = {":free": {"N": "0"}} | ({":sent": {"SS": sorted(sent)}} if sent else {})
        with asking("the ledger's table"):
            self._client.update_item(
                TableName=self._table,
                Key={"alert_id": {"S": alert_id}},
                UpdateExpression=f"SET notifying_until = :free{add}",
                ConditionExpression="attribute_exists(alert_id)",
                ExpressionAttributeValues=values,
            )

    def _take_over(self, alert_id: str, now_s: float) -> Row:
        taken: dict[str, Any] = {}
        with unless_condition_fails() as found:
            taken = self._client.update_item(
                TableName=self._table,
                Key={"alert_id": {"S": alert_id}},
                UpdateExpression="SET notifying_until = :until",
                ConditionExpression="attribute_not_exists(notified_at) AND notifying_until <= :now",
                ExpressionAttributeValues={":until": _number(now_s + LEASE_S), ":now": _number(now_s)},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )["Attributes"]
        if found:
            return Row(Telling.DONE if "notified_at" in found[0] else Telling.BUSY)
        return Row(Telling.OURS, frozenset(taken.get("sent", {}).get("SS", ())))

    def _item(self, message: CloudAlert, place: Place, now_s: float) -> dict[str, Any]:
        alert = message.alert
        texts = {
            "alert_id": alert.alert_id,
            "device": alert.device,
            "site": place.site,
            "fleet": place.fleet,
            "time": utc(alert.time),
            "application": alert.application,
            "camera": alert.camera,
            "rule": alert.rule,
            "severity": alert.severity.value,
            "message": alert.message,
            "epoch": message.epoch,
            "received_at": _text(now_s),
            "document": alert.model_dump_json(exclude_none=True),
        }
        numbers = {"seq": message.seq, "expires_at": int(now_s) + self._days * DAY_S}
        return {
            **{name: {"S": text} for name, text in texts.items()},
            **{name: {"N": str(number)} for name, number in numbers.items()},
            "notifying_until": _number(now_s + LEASE_S),
        }


def _check_owner(item: dict[str, Any], alert: Alert) -> None:
    """Nobody may make another device's alert look as if the ledger had it already."""
    owner = item.get("device", {}).get("S", alert.device)
    if owner != alert.device:
        raise CloudError(
            f"device {alert.device!r} sent the alert {alert.alert_id}, which is one of {owner!r}.", code="V011"
        )


def _number(seconds: float) -> dict[str, str]:
    return {"N": f"{seconds:.3f}"}


def _text(now_s: float) -> str:
    return utc(datetime.fromtimestamp(now_s, UTC))
