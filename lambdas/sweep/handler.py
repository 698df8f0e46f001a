"""Every five minutes: how many devices of each fleet are well, as metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger

from lambdas.common.batch import answer, records
from lambdas.common.requests import asking, chunks
from lambdas.common.runtime import client, logger, settings
from lambdas.common.states import Item, view
from vedette.contracts.account import METRIC_NAMESPACE
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import SweepSettings, fleets_of
from vedette.core.fleet.device_state import Figure, Tally

#: Of the items, what is counted; the messages themselves stay in the table.
_READ: Final = (
    *("thing", "ring", "version", "last_seen_ms", "conditions", "cameras_down"),
    *("connected", "connection_version", "connection_ms"),
)
#: Most values that CloudWatch takes at once.
_MAX_VALUES: Final = 500


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One round; a round that failed is repeated."""
    return sweeper().work(event)


@cache
def sweeper() -> Sweeper:
    """What does the work, made once per process."""
    told = settings(SweepSettings)
    return Sweeper(
        tables=client("dynamodb"),
        cloudwatch=client("cloudwatch"),
        table=told.devices_table,
        index=told.devices_index,
        fleets=fleets_of(told.fleets),
        log=logger("sweep"),
        now=time.time,
    )


class Sweeper:
    """Counts devices.

    Args:
        tables: client of DynamoDB.
        cloudwatch: client.
        table: of devices.
        index: of the table, by fleet.
        fleets: name → rings.
        log: of the function.
        now: clock, seconds since 1970.
    """

    def __init__(
        self,
        *,
        tables: Any,
        cloudwatch: Any,
        table: str,
        index: str,
        fleets: dict[str, tuple[str, ...]],
        log: Logger,
        now: Callable[[], float],
    ) -> None:
        self._tables = tables
        self._cloudwatch = cloudwatch
        self._table = table
        self._index = index
        self._fleets = fleets
        self._log = log
        self._now = now

    def work(self, event: dict[str, Any]) -> dict[str, Any]:
        """One round, however many orders lie in the queue: what counts is how the devices are now.

        Raises:
            CloudError: V011, no call by a queue.
        """
        orders = records(event)
        try:
            for fleet, rings in self._fleets.items():
                self._sweep(fleet, rings)
        except CloudError as error:
            self._log.error(str(error), code=error.code)
            return answer(order.id for order in orders)
        return answer(())

    def _sweep(self, fleet: str, rings: Sequence[str]) -> None:
        tally, now_s = Tally(fleet, rings), self._now()
        for item in self._devices(fleet):
            tally.add(view(item), now_s)
        for part in chunks(tally.figures(), _MAX_VALUES):
            with asking("metrics"):
                self._cloudwatch.put_metric_data(
                    Namespace=METRIC_NAMESPACE, MetricData=[_datum(figure, now_s) for figure in part]
                )

    def _devices(self, fleet: str) -> Iterator[Item]:
        names = {f"#{at}": name for at, name in enumerate(_READ)}
        with asking("the table of devices"):
            pages = self._tables.get_paginator("query").paginate(
                TableName=self._table,
                IndexName=self._index,
                KeyConditionExpression="#fleet = :fleet",
                ProjectionExpression=", ".join(names),
                ExpressionAttributeNames={**names, "#fleet": "fleet"},
                ExpressionAttributeValues={":fleet": {"S": fleet}},
            )
            for page in pages:
                yield from page["Items"]


def _datum(figure: Figure, now_s: float) -> dict[str, Any]:
    return {
        "MetricName": figure.metric.value,
        "Dimensions": [{"Name": name, "Value": value} for name, value in figure.dimensions],
        "Timestamp": now_s,
        "Value": figure.value,
        "Unit": "Count",
    }
