"""Devices' reports of comparisons, from the rule ``vedette_comparison``."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger

from lambdas.common.batch import Record, answer, from_device, parsed, records
from lambdas.common.comparisons import read_comparison, write_comparison
from lambdas.common.requests import asking
from lambdas.common.runtime import client, logger, settings
from lambdas.common.states import DeviceStates
from vedette.contracts.comparison import Comparison, ComparisonReport
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import ComparisonSettings
from vedette.contracts.rollout import RingStatus, Rollout, RolloutStatus, device_of, device_ring
from vedette.core.fleet.comparison_book import noted
from vedette.core.fleet.device_item import text
from vedette.core.fleet.rollout import current, wanted

#: Of two that write the same item at the same time one is refused and looks again.
_ATTEMPTS: Final = 5


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One batch; the answer names the messages that have to be delivered again."""
    return book().work(event)


@cache
def book() -> ComparisonBook:
    """What does the work, made once per process."""
    told = settings(ComparisonSettings)
    return ComparisonBook(client("dynamodb"), told.rollouts_table, told.devices_table, logger("comparison"))


class ComparisonBook:
    """Keeps the newest report of each device that takes part in a comparison.

    Args:
        tables: client of DynamoDB.
        rollouts: name of the table.
        devices: name of the table.
        log: of the function.
    """

    def __init__(self, tables: Any, rollouts: str, devices: str, log: Logger) -> None:
        self._tables, self._rollouts, self._log = tables, rollouts, log
        self._devices = DeviceStates(tables, devices)

    def work(self, event: dict[str, Any]) -> dict[str, Any]:
        """One call: which messages have to be delivered again. The reports of one rollout are written together.

        Raises:
            CloudError: V011, no call by a queue.
        """
        failed: list[str] = []
        told: dict[str, dict[str, ComparisonReport]] = defaultdict(dict)
        for record in records(event):
            try:
                report = read(record)
            except CloudError as error:
                failed.append(record.id)
                self._log.error(str(error), code=error.code, messages=[record.id])
            else:
                told[report.rollout_id][record.id] = report
        for rollout_id, reports in told.items():
            try:
                self._note(rollout_id, list(reports.values()))
            except CloudError as error:
                failed += reports
                self._log.error(str(error), code=error.code, messages=[*reports])
        return answer(failed)

    def _note(self, rollout_id: str, reports: list[ComparisonReport]) -> None:
        rollout = self._rollout(rollout_id)
        taken = [one for one in reports if rollout is not None and self._takes_part(rollout, one)]
        if len(taken) < len(reports):
            left = sorted({one.device for one in reports if one not in taken})
            self._log.warning("reports of no comparison that is under way", rollout_id=rollout_id, devices=left)
        if not taken:
            return
        for _ in range(_ATTEMPTS):
            before, revision = read_comparison(self._tables, self._rollouts, rollout_id)
            after = before
            for one in taken:
                after = self._with(after, one)
            if after is before or write_comparison(
                self._tables, self._rollouts, after, revision, now_s=int(time.time())
            ):
                return
        raise CloudError(f"the comparison of {rollout_id} is being written by too many at once.", retryable=True)

    def _with(self, kept: Comparison, report: ComparisonReport) -> Comparison:
        after = noted(kept, report)
        if after is None:
            self._log.info("a report is older than what is kept, or one too many", thing=report.device)
        return after or kept

    def _rollout(self, rollout_id: str) -> Rollout | None:
        with asking("the table of rollouts"):
            found = self._tables.get_item(
                TableName=self._rollouts, Key={"rollout_id": {"S": rollout_id}}, ConsistentRead=True
            )
        return Rollout.model_validate_json(found["Item"]["document"]["S"]) if "Item" in found else None

    def _takes_part(self, rollout: Rollout, report: ComparisonReport) -> bool:
        """Whether the device is one of the ring that compares just this."""
        step = current(rollout)
        if rollout.status is not RolloutStatus.RUNNING or step is None or step.status is not RingStatus.COMPARING:
            return False
        change = wanted(rollout, step)
        if change.kind != "application" or change.to is None:
            return False
        if (change.name, change.to.version) != (report.application, report.version):
            return False
        item = self._devices.read(report.device) or {}
        ring = text(item, "ring") if device_of(step.ring) is None else device_ring(report.device)
        return text(item, "fleet") == rollout.fleet and ring == step.ring


def read(record: Record) -> ComparisonReport:
    """One report, at most as late as it came: a clock that is ahead must not keep out what comes once it is right.

    Raises:
        CloudError: V011, it is none, or in the name of another device than the one that sent it.
    """
    thing, document = from_device(record)
    report = parsed(document, ComparisonReport, f"{thing} told of a comparison in no known form")
    if report.device != thing:
        raise CloudError(f"{thing} told of a comparison in the name of {report.device!r}.", code="V011")
    came = datetime.fromtimestamp(record.sent_ms / 1000, UTC)
    return report.model_copy(update={"time": min(report.time, came)})
