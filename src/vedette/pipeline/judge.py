"""journal → judge → outbox: reads batches by a durable cursor and commits what they mean together with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from vedette.contracts.alert import Alert
from vedette.contracts.errors import StorageError
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.insight import InsightReport
from vedette.contracts.journal import JournalRow, index_of
from vedette.contracts.plan import EvidencePlan, Plan
from vedette.core.hook_alerts import make_hook_alert
from vedette.core.insights.book import InsightBook, NewReport
from vedette.core.insights.size import report_json
from vedette.core.judge import Judge, NotAnalysed, Verdict
from vedette.ports.journal import JournalSource
from vedette.ports.outbox import (
    CLOUD_CHANNEL,
    EVIDENCE_CHANNEL,
    FILE_TARGET,
    Gap,
    NewAlert,
    Origin,
    Outbox,
    OutgoingReport,
    channel_of,
)

log = logging.getLogger(__name__)

#: Batches judged in one go.
STEP_BATCHES: Final = 200
#: Progress without an alert is committed this often; judging the same batches again gives the same alerts.
COMMIT_S: Final = 1.0
#: Where the position in the journal was lost, batches older than this are not judged again: what they meant was
#: mostly delivered, and a repeat of a day is worse than a gap of which the report tells.
LOST_POSITION_S: Final = 300.0
#: Stretches without analysis that wait for the next commit.
MAX_GAPS: Final = 1_000
#: Pause before a commit that the disk and memory refused is tried again.
RETRY_S: Final = 0.5
#: Insights of cameras without pictures are looked at this often.
EXPIRE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class JudgeHealth:
    """How judging fares.

    Attributes:
        judged: batches since the start.
        alerts: alerts since the start.
        lag_s: age of the newest batch judged, at its judging.
        problem: why judging waits; empty where it does not.
    """

    judged: int
    alerts: int
    lag_s: float
    problem: str


class JudgeLoop:
    """The position in the journal, the rules, and what they found but could not commit yet. For one thread.

    Args:
        device: IoT thing name.
        source: the journal.
        outbox: where everything is committed.
        committed: called with the new alerts after each commit that had some.
        judged: called with each new alert, and the row of the journal that raised it, before it is committed.
        reported: the same for reports of insights.
    """

    def __init__(
        self,
        device: str,
        source: JournalSource,
        outbox: Outbox,
        committed: Callable[[Sequence[Alert]], None],
        *,
        judged: Callable[[Alert, JournalRow], None] = lambda _alert, _row: None,
        reported: Callable[[Sequence[InsightReport]], None] = lambda _: None,
        wall_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._source = source
        self._outbox = outbox
        self._committed = committed
        self._judged = judged
        self._reported = reported
        self._wall_s = wall_s
        self._monotonic = monotonic
        self._resume = outbox.resume()
        self._journal, self._cursor = self._resume.journal, self._resume.cursor
        self._safe = (self._journal, self._cursor)
        self._state = self._resume.state
        self._judge: Judge | None = None
        self._insights = InsightBook(device, ())
        self._reports: list[NewReport] = []
        self._expire_due_s = monotonic()
        self._channels: dict[str, str] = {}
        self._evidence: dict[str, EvidencePlan] = {}
        self._held: list[NewAlert] = []
        self._gaps: list[Gap] = []
        self._dirty = False
        self._commit_due_s = monotonic() + COMMIT_S
        self._health = JudgeHealth(0, 0, 0.0, "")

    @property
    def position(self) -> tuple[str, int]:
        """Journal and sequence number up to which everything was judged and committed."""
        return self._safe

    def health(self) -> JudgeHealth:
        """For the health report."""
        return self._health

    def set_plan(self, plan: Plan) -> None:
        """Use these rules and insights from the next batch on; one that is as it was goes on where it stood."""
        judge, insights = Judge(self._device, plan.rules), InsightBook(self._device, plan.insights)
        judge.restore(self._judge.state() if self._judge is not None else self._state)
        insights.restore(self._insights.state() if self._judge is not None else self._state.get("insights"))
        self._judge, self._insights = judge, insights
        self._channels = {key: channel_of(key, action.type) for key, action in plan.actions.items()}
        self._evidence = {asked.application: asked for asked in plan.evidence}

    def step(self, timeout_s: float) -> bool:
        """Judge what there is, waiting for it up to ``timeout_s``; whether there was anything."""
        if self._judge is None:
            self._source.wait(timeout_s)
            return False
        if not self._find_place():
            if self._journal:  # else there is no place to commit yet, and where judging begins is still to be found
                self._expire()
                self._commit_when_due()
            self._source.wait(timeout_s)
            return False
        if self._health.problem and not self.commit():
            time.sleep(min(timeout_s, RETRY_S))
            return False
        rows = self._source.read(self._cursor, STEP_BATCHES)
        for seq, row in rows:
            self._take(row)
            self._cursor = seq
        self._dirty |= bool(rows)
        if len(rows) < STEP_BATCHES:
            self._expire()
        self._commit_when_due()
        if not rows:
            self._source.wait(timeout_s)
        return bool(rows)

    def commit(self) -> bool:
        """Commit where judging stands; False where it has to be tried again."""
        if self._judge is None or not (self._dirty or self._held or self._gaps):
            self._say("")
            return True
        try:
            state = {**self._judge.state(), "insights": self._insights.state()}
            reports = [_outgoing(new) for new in self._reports]
            self._outbox.commit(self._journal, self._cursor, state, self._held, self._gaps, reports)
        except StorageError as error:
            self._say(error.message)
            return False
        self._safe = (self._journal, self._cursor)
        alerts = [new.alert for new in self._held]
        health = self._health
        self._health = JudgeHealth(health.judged, health.alerts + len(alerts), health.lag_s, health.problem)
        told = [new.report for new in self._reports]
        self._held, self._gaps, self._reports, self._dirty = [], [], [], False
        self._commit_due_s = self._monotonic() + COMMIT_S
        self._say("")
        if alerts:
            self._committed(alerts)
        if told:
            self._reported(told)
        return True

    def _commit_when_due(self) -> None:
        if self._held or (self._dirty and self._monotonic() >= self._commit_due_s):
            self.commit()

    def _expire(self) -> None:
        """Tell of intervals in which a camera has shown nothing; only where every batch there is was taken."""
        if self._monotonic() >= self._expire_due_s and not self._health.problem:
            self._expire_due_s = self._monotonic() + EXPIRE_S
            ended = self._insights.expire(self._wall_s())
            self._reports += ended
            self._dirty |= bool(ended)

    def _find_place(self) -> bool:
        """Follow the journal where it is another one now; False where there is none."""
        journal = self._source.identity()
        if not journal:
            return False
        if journal == self._journal:
            return True
        if self._resume.origin is Origin.LOST and not self._journal:
            self._cursor = self._source.position(self._wall_s() - LOST_POSITION_S)
            log.warning("the position in the journal was lost; judging goes on %d s back", int(LOST_POSITION_S))
        else:
            if self._journal:
                log.warning("the journal is another one now; judging begins at its start")
            self._cursor = 0
        self._journal, self._dirty = journal, True
        return True

    def _take(self, row: JournalRow) -> None:
        assert self._judge is not None
        if isinstance(row, HookEvent):
            self._held += self._raised(row)
        else:
            for verdict in self._judge.judge(row):
                self._held.append(self._addressed(verdict))
                self._judged(verdict.alert, row)
            self._reports += self._insights.take(row)
        self._gaps += [_gap(stretch) for stretch in self._judge.take_not_analysed()]
        del self._gaps[:-MAX_GAPS]
        health = self._health
        self._health = JudgeHealth(
            health.judged + 1,
            health.alerts,
            max(0.0, self._wall_s() - index_of(row).at),
            health.problem,
        )

    def _raised(self, event: HookEvent) -> list[NewAlert]:
        """The alert of what a hook raised; none where the row makes no sense."""
        try:
            alert = make_hook_alert(self._device, event)
        except ValueError as error:
            reason = " ".join(str(error).split())[:200]
            log.error("an event of hook %s/%s is left out: %s", event.application, event.hook, reason)
            return []
        self._judged(alert, event)
        return [NewAlert(alert, (*event.channels, *self._illustrated(alert)))]

    def _addressed(self, verdict: Verdict) -> NewAlert:
        channels = (self._channels.get(action, action) for action in verdict.actions)
        return NewAlert(verdict.alert, (*dict.fromkeys(channels), *self._illustrated(verdict.alert)))

    def _illustrated(self, alert: Alert) -> tuple[str, ...]:
        """The channel of evidence, where the application asks for some of this alert."""
        asked = self._evidence.get(alert.application)
        return (EVIDENCE_CHANNEL,) if asked is not None and asked.evidence.wants(alert.rule) else ()

    def _say(self, problem: str) -> None:
        if problem and problem != self._health.problem:
            log.error("judging waits: %s", problem)
        health = self._health
        self._health = JudgeHealth(health.judged, health.alerts, health.lag_s, problem)


def _outgoing(new: NewReport) -> OutgoingReport:
    targets: tuple[str, ...] = (CLOUD_CHANNEL,) if new.to_cloud else ()
    if new.to_file is not None:
        targets += (f"{FILE_TARGET}{new.to_file}",)
    return OutgoingReport(new.report.report_id, targets, report_json(new.report))


def _gap(stretch: NotAnalysed) -> Gap:
    return Gap(stretch.pipeline, stretch.camera, stretch.from_s, stretch.seconds, stretch.reason)
