"""Reports of insights from the rule ``vedette_insights``, one row for each insight, into Firehose."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.common.batch import Record, answer, from_device, parsed, records
from lambdas.common.places import Places
from lambdas.common.runtime import client, logger, settings
from lambdas.common.streams import send_rows
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import InsightsSettings
from vedette.contracts.insight import InsightReport
from vedette.core.fleet.archive import in_utc, insight_rows


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One batch; the answer names the messages that have to be delivered again."""
    return archivist().work(event)


@cache
def archivist() -> Archivist:
    """What does the work, made once per process."""
    told = settings(InsightsSettings)
    places = Places(client("dynamodb"), told.devices_table, time.monotonic)

    def send(rows: list[dict[str, Any]]) -> list[bool]:
        return send_rows(client("firehose"), told.insights_stream, rows)

    return Archivist(places, send, logger("insights"))


class Archivist:
    """Makes rows of reports. A report of which one row was refused is repeated as a whole; queries leave repeats out.

    Args:
        places: of devices.
        send: takes rows and says of each whether it was taken; raises CloudError.
        log: of the function.
    """

    def __init__(self, places: Places, send: Callable[[list[dict[str, Any]]], list[bool]], log: Logger) -> None:
        self._places = places
        self._send = send
        self._log = log

    def work(self, event: dict[str, Any]) -> dict[str, Any]:
        """One call: which messages have to be delivered again.

        Raises:
            CloudError: V003, places or delivery stream cannot be had: all messages come again.
        """
        failed: set[str] = set()
        reports: list[tuple[str, InsightReport]] = []
        for record in records(event):
            try:
                reports.append((record.id, read(record)))
            except CloudError as error:
                failed.add(record.id)
                self._log.error(str(error), code=error.code, messages=[record.id])
        places = self._places.of(report.device for _, report in reports)
        rows, owners = [], []
        for message, report in reports:
            for row in insight_rows(report, places[report.device]):
                rows.append(row)
                owners.append(message)
        refused = {owner for owner, taken in zip(owners, self._send(rows), strict=True) if not taken}
        if refused:
            self._log.error("the delivery stream refused rows", messages=sorted(refused))
        return answer(failed | refused)


def read(record: Record) -> InsightReport:
    """One report.

    Raises:
        CloudError: V011, it is none, or of another device than the one that sent it.
    """
    thing, document = from_device(record)
    report = parsed(document, InsightReport, f"{thing} sent no report of insights")
    if report.device != thing:
        raise CloudError(f"{thing} sent a report of the device {report.device!r}.", code="V011")
    if not in_utc(report.start, report.end):
        raise CloudError(f"{thing} sent a report of a time that cannot be: {report.start}.", code="V011")
    return report
