"""outbox → cloud and files: reports of insights, one at a time, oldest first, never in the way of an alert.

A report is forgotten when the publish has returned or the file has it. A kill in between sends it again; the repeat has
the same ``report_id``.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import VedetteError
from vedette.contracts.insight import MAX_REPORT_BYTES
from vedette.pipeline.deliver import STOP_WAIT_S
from vedette.ports.action import Action
from vedette.ports.outbox import CLOUD_CHANNEL, FILE_TARGET, Outbox, OutboxRow, QueuedReport

log = logging.getLogger(__name__)

#: Reports handed over in one go, and forgotten together.
STEP: Final = 20
#: Pause after each report sent to the cloud: a backlog of a day goes out within minutes and leaves room for alerts.
PACE_S: Final = 0.1
#: Pause after a failure; it doubles, and a random half of it is taken off.
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
#: The queue is looked at this often even where nobody rang.
LOOK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class SendHealth:
    """How sending fares.

    Attributes:
        sent: reports handed over since the start.
        problem: the last failure, for people; empty where the last attempt went well.
    """

    sent: int
    problem: str


@dataclass(slots=True)
class _Trouble:
    """A target that failed."""

    failures: int = 0
    due_s: float = 0.0
    problem: str = ""


class ReportSender:
    """Sends reports of insights until closed. One target that fails holds up no other.

    Args:
        outbox: what waits.
        publish: hands one report to the cloud; raises DeliveryError.
        open_file: the receiver for a path as the manifest names it; closed with this.
        monotonic: clock of all pauses.
        jitter: uniform random number 0..1.
        start: whether to run in a thread of its own; tests call ``step``.
    """

    def __init__(
        self,
        outbox: Outbox,
        publish: Callable[[bytes], None],
        open_file: Callable[[str], Action],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        start: bool = True,
    ) -> None:
        self._outbox = outbox
        self._publish = publish
        self._open_file = open_file
        self._monotonic = monotonic
        self._jitter = jitter
        self._files: dict[str, Action] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._sent = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="send-reports", daemon=True)
        if start:
            self._thread.start()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def health(self) -> SendHealth:
        """For the health report."""
        problems = [trouble.problem for trouble in list(self._troubles.values())]
        return SendHealth(self._sent, problems[0] if problems else "")

    def close(self) -> None:
        """Stop after the report under way; idempotent."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WAIT_S)
        for file in self._files.values():
            file.close()

    def step(self) -> float:
        """Send what is due. Returns how long to pause, 0 where there is more to do."""
        now_s = self._monotonic()
        pauses = [LOOK_S]
        for target in self._outbox.report_targets():
            trouble = self._troubles.get(target)
            if trouble is not None and now_s < trouble.due_s:
                pauses.append(trouble.due_s - now_s)
                continue
            try:
                waiting = self._outbox.reports(target, STEP)
                self._send(target, waiting)
            except VedetteError as error:
                pauses.append(self._failed(target, error.message))
                continue
            self._troubles.pop(target, None)
            if len(waiting) == STEP:
                pauses.append(0.0)
            if self._closing.is_set():
                return 0.0
        return min(pauses)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            try:
                pause_s = self.step()
            except Exception:  # the boundary of this thread
                log.exception("sending reports failed")
                pause_s = RETRY_FIRST_S
            if pause_s:
                self._wake.wait(pause_s)

    def _send(self, target: str, waiting: Sequence[QueuedReport]) -> None:
        done: list[QueuedReport] = []
        try:
            if target.startswith(FILE_TARGET):
                self._write(target, waiting, done)
            else:
                self._to_cloud(waiting, done)
        finally:
            self._outbox.reports_sent(done)
            self._sent += len(done)

    def _to_cloud(self, waiting: Sequence[QueuedReport], done: list[QueuedReport]) -> None:
        for report in waiting:
            if len(report.body) > MAX_REPORT_BYTES:
                log.error("report %s of %d bytes is larger than any nucleus takes", report.report_id, len(report.body))
            else:
                self._publish(report.body)
            done.append(report)
            if self._closing.wait(PACE_S if len(waiting) > 1 else 0.0):
                return

    def _write(self, target: str, waiting: Sequence[QueuedReport], done: list[QueuedReport]) -> None:
        file = self._files.get(target)
        if file is None:
            file = self._files[target] = self._open_file(target.removeprefix(FILE_TARGET))
        by_id = {report.report_id: report for report in waiting}
        rows = [OutboxRow(0, target, report.report_id, "", report.body) for report in waiting]
        file.deliver(rows, lambda row: done.append(by_id[row.alert_id]))

    def _failed(self, target: str, problem: str) -> float:
        trouble = self._troubles.setdefault(target, _Trouble())
        if problem != trouble.problem:
            where = "the cloud" if target == CLOUD_CHANNEL else target.removeprefix(FILE_TARGET)
            log.warning("insights do not reach %s: %s", where, problem)
        pause_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(trouble.failures, 10)) * (1.0 - 0.5 * self._jitter())
        trouble.failures, trouble.problem, trouble.due_s = trouble.failures + 1, problem, self._monotonic() + pause_s
        return pause_s
