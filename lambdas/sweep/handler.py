"""How the devices of each fleet are: every minute by ring, for rollouts, and every five minutes as metrics, too."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger

from lambdas.common.batch import Record, answer, records
from lambdas.common.requests import asking, chunks
from lambdas.common.ring_summaries import write_summary
from lambdas.common.runtime import client, logger, settings
from lambdas.common.states import Item, view
from vedette.contracts.account import METRIC_NAMESPACE
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import SweepSettings, fleets_of
from vedette.core.fleet.device_state import Figure, Tally
from vedette.core.fleet.ring_view import RingTally

#: Of the items, what is counted; the messages themselves stay in the table.
_READ: Final = (
    *("thing", "ring", "version", "last_seen_ms", "conditions", "cameras_down"),
    *("connected", "connection_version", "connection_ms"),
)
#: In an order: every fleet.
ALL: Final = "*"
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
        rings=told.rings_table,
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
        rings: table of rings.
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
        rings: str,
        fleets: dict[str, tuple[str, ...]],
        log: Logger,
        now: Callable[[], float],
    ) -> None:
        self._tables = tables
        self._cloudwatch = cloudwatch
        self._table = table
        self._index = index
        self._rings = rings
        self._fleets = fleets
        self._log = log
        self._now = now

    def work(self, event: dict[str, Any]) -> dict[str, Any]:
        """One round, however many orders lie in the queue: what counts is how the devices are now.

        Raises:
            CloudError: V011, no call by a queue.
        """
        orders = records(event)
        counts = [counted_fleet(order) for order in orders]
        asked = set(self._fleets) if None in counts or ALL in counts else set(self._fleets) & set(counts)
        try:
            for fleet in sorted(asked):
                self._sweep(fleet, self._fleets[fleet], with_metrics=None in counts)
        except CloudError as error:
            self._log.error(str(error), code=error.code)
            return answer(order.id for order in orders)
        return answer(())

    def _sweep(self, fleet: str, rings: Sequence[str], *, with_metrics: bool) -> None:
        tally, now_s = Tally(fleet, rings), self._now()
        by_ring = {ring: RingTally() for ring in rings}
        devices = 0
        for item in self._devices(fleet):
            device = view(item)
            devices += 1
            tally.add(device, now_s)
            if device.ring in by_ring:
                by_ring[device.ring].add(str(item["thing"]["S"]), device, now_s)
        for ring, counted in by_ring.items():
            write_summary(self._tables, self._rings, fleet, ring, counted.summary(int(now_s), devices))
        if with_metrics:
            self._send(tally, now_s)

    def _send(self, tally: Tally, now_s: float) -> None:
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


def counted_fleet(order: Record) -> str | None:
    """The fleet that an order wants counted without metrics; None for a whole round, with metrics."""
    try:
        said = json.loads(order.body)
    except ValueError:
        return None
    fleet = said.get("count") if isinstance(said, dict) else None
    return fleet if isinstance(fleet, str) else None


def _datum(figure: Figure, now_s: float) -> dict[str, Any]:
    return {
        "MetricName": figure.metric.value,
        "Dimensions": [{"Name": name, "Value": value} for name, value in figure.dimensions],
        "Timestamp": now_s,
        "Value": figure.value,
        "Unit": "Count",
    }
