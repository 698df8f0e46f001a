"""The worker of the alerting component: judges, commits, delivers, tells how it is."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from vedette.adapters.actions.iot_core import CloudLink
from vedette.adapters.evidence.receiver import EvidenceReceiver
from vedette.adapters.evidence.store import EvidenceStore
from vedette.adapters.hooks.store import read_cursor
from vedette.adapters.journal.retention import Follower, JournalRetention
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.adapters.secrets import SecretStore
from vedette.adapters.state.files import write_component_status
from vedette.adapters.state.latest import LatestInsights
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.plan_file import PlanFile
from vedette.compose.device_health import health_message
from vedette.compose.evidence_uploads import EvidenceUploads, open_bucket
from vedette.compose.open_receivers import OpenReceivers
from vedette.compose.receivers import Surroundings, make_report_file, open_channel
from vedette.compose.receivers_health import receivers_health
from vedette.contracts import topics
from vedette.contracts.alert import Alert
from vedette.contracts.config import AlertingConfig
from vedette.contracts.errors import VedetteError
from vedette.contracts.health import AlertingHealth
from vedette.contracts.insight import InsightReport
from vedette.contracts.plan import EvidencePlan, HookPlan, Plan
from vedette.pipeline.deliver import Delivery
from vedette.pipeline.judge import JudgeLoop
from vedette.pipeline.pictures import PictureTimes
from vedette.pipeline.send_reports import ReportSender
from vedette.pipeline.uplink import Uplink
from vedette.ports.bus import Bus
from vedette.ports.outbox import CLOUD_CHANNEL, EVIDENCE_CHANNEL

log = logging.getLogger(__name__)

COMPONENT: Final = "vedette.Alerting"
#: Longest wait for the doorbell, and how often the plan's file is looked at.
STEP_S: Final = 0.25
PLAN_S: Final = 0.5
#: Longest wait for the doorbell while a receiver cannot be opened before the one in its place has ended.
SOON_S: Final = 0.05
#: How often the journal is trimmed, the state told on the device, and to the cloud.
TRIM_S: Final = 2.0
LOCAL_HEALTH_S: Final = 2.0
CLOUD_HEALTH_S: Final = 60.0
#: A subscription that was refused is tried again after this time.
LISTEN_RETRY_S: Final = 2.0
#: Rows of an action that is in no plan for so long become dead letters: it was removed, not redeployed.
ABANDON_S: Final = 3600.0
#: Alerts that wait to be published on the device; it is for people to look at, so the oldest give way.
PUBLISH_LIMIT: Final = 1_000


class AlertingWorker:
    """Everything of one worker process. The thread that calls ``run`` judges; others deliver and keep house.

    Args:
        config: the component's.
        device: IoT thing name.
        bus: Greengrass.
        beat: called at least every quarter of a second with a counter that moves, and the state for the supervisor.
        learned: called with every secret value.
        wants_evidence: called when applications begin or cease to ask for evidence.

    Raises:
        StorageError: V401, the state directory is not usable, or another worker has the outbox.
    """

    def __init__(
        self,
        config: AlertingConfig,
        device: str,
        bus: Bus,
        *,
        beat: Callable[[int], None] = lambda _: None,
        learned: Callable[[str], None] = lambda _: None,
        wants_evidence: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._device = device
        self._bus = bus
        self._beat = beat
        self._rounds = 0
        self._wants_evidence = wants_evidence
        self._asked: dict[str, EvidencePlan] = {}
        layout = self._layout = StateLayout(Path(config.stateDirectory))
        self._directory = layout.root
        self._plan_file = PlanFile(layout.plan)
        self._plan_due_s = 0.0
        self._outbox = SqliteOutbox(layout.root / "outbox.db", max_bytes=config.outboxMaxBytes, alive=self._alive)
        journal = layout.root / "journal.db"
        self._reader = SqliteJournalReader(journal, layout.run / "alerting.bell")
        self._retention = JournalRetention(journal, max_age_s=config.journalMaxAgeS, max_bytes=config.journalMaxBytes)
        secrets = SecretStore(bus.secret, layout.secrets, learned=learned)
        self._pictures = PictureTimes()
        surroundings = Surroundings(layout.root, device, secrets)
        self._receivers = OpenReceivers(
            lambda key, action: open_channel(key, action, self._outbox, surroundings, self._pictures)
        )
        self._judge = JudgeLoop(
            device, self._reader, self._outbox, self._committed, judged=self._pictures.note, reported=self._reported
        )
        self._judged = self._judge.position
        self._link = CloudLink(bus, device)
        self._uplink = Uplink(self._outbox, self._link)
        self._reports = ReportSender(
            self._outbox, self._link.send_report, lambda path: make_report_file(path, layout.root)
        )
        self._latest = LatestInsights(layout.root)
        self._to_show: deque[InsightReport] = deque(maxlen=PUBLISH_LIMIT)
        self._absent_since_s: dict[str, float] = {}
        self._to_publish: deque[Alert] = deque(maxlen=PUBLISH_LIMIT)
        self._plan_problem = ""
        self._unjudged = 0
        self._unread: Counter[str] = Counter()
        self._hooks: tuple[HookPlan, ...] = ()
        self._stopping = threading.Event()
        self._house_wake = threading.Event()
        self._house = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)
        self._house.start()
        # Here and not where evidence is made: what decodes a camera's video gets no credentials of the account.
        uploads = EvidenceUploads(EvidenceStore(layout.evidence), open_bucket)
        self._uploads = threading.Thread(target=uploads.run, args=(self._stopping.wait,), name="uploads", daemon=True)
        self._uploads.start()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Judge until ``stopped`` says so, then commit and close everything."""
        try:
            while not stopped():
                self._look_at_plan()
                self._judge.step(SOON_S if self._receivers.waiting else STEP_S)
                self._judged = self._judge.position
                self._outbox.flush()
                self._rounds += 1
                self._alive()
        finally:
            self._close()

    def health(self) -> AlertingHealth:
        """How everything is now."""
        judge, outbox = self._judge.health(), self._outbox.health()
        told = {**self._receivers.health(), CLOUD_CHANNEL: self._uplink.health()}
        damage, sent = self._outbox.damage, self._reports.health()
        problems = (judge.problem, outbox.problem, self._reader.problem, self._plan_problem, str(damage or ""))
        return AlertingHealth(
            time=datetime.now(UTC),
            device=self._device,
            judged=judge.judged,
            alerts=judge.alerts,
            lag_s=round(judge.lag_s, 3),
            durable=outbox.durable,
            volatile=outbox.volatile,
            receivers=receivers_health(outbox, told, time.time()),
            evicted=dict(outbox.evicted),
            dead_letters=outbox.dead_letters,
            salvaged=outbox.salvaged,
            not_analysed_s=round(outbox.not_analysed_s, 3),
            unjudged=self._unjudged,
            unread_by_hooks=dict(self._unread),
            outbox_bytes=outbox.used_bytes,
            reports_sent=sent.sent,
            reports_pending=outbox.reports,
            reports_problem=sent.problem[:400],
            reports_dropped=outbox.reports_dropped,
            problems=tuple(problem for problem in problems if problem),
        )

    def _alive(self) -> None:
        self._beat(self._rounds)

    # -- the judging thread -----------------------------------------------------------------------------------------

    def _look_at_plan(self) -> None:
        now_s = time.monotonic()
        if now_s < self._plan_due_s and not self._receivers.waiting:
            return
        self._plan_due_s = now_s + PLAN_S
        self._abandon(now_s)
        try:
            self._receivers.look()
            if not self._plan_file.changed():
                return
            plan = self._plan_file.read()
            if plan is not None:
                self._judge.set_plan(plan)
                self._receivers.follow(
                    {key: action for key, action in plan.actions.items() if action.type != CLOUD_CHANNEL}
                )
                self._set_evidence(plan)
                self._hooks = plan.hooks
            self._plan_problem = ""
        except (VedetteError, ValueError) as error:
            problem = f"the plan cannot be used: {error}"
            if problem != self._plan_problem:
                log.error("%s", problem)
            self._plan_problem = problem

    def _set_evidence(self, plan: Plan) -> None:
        """What applications ask for; the receiver stays once it was needed, for what is still in its queue."""
        asked = {one.application: one for one in plan.evidence}
        if bool(asked) != bool(self._asked):
            self._wants_evidence(bool(asked))
        self._asked = asked
        if asked and not self._receivers.has(EVIDENCE_CHANNEL):
            store = EvidenceStore(self._layout.evidence)
            receiver = EvidenceReceiver(store, self._asked_of, self._config.privacyCeiling)
            self._receivers.add(EVIDENCE_CHANNEL, Delivery(self._outbox, EVIDENCE_CHANNEL, receiver))

    def _asked_of(self, application: str) -> EvidencePlan | None:
        return self._asked.get(application)

    def _abandon(self, now_s: float) -> None:
        ours = (CLOUD_CHANNEL, EVIDENCE_CHANNEL)
        gone = {name for name in self._outbox.channels() if name not in ours and not self._receivers.wants(name)}
        self._absent_since_s = {name: self._absent_since_s.get(name, now_s) for name in gone}
        for name, since_s in self._absent_since_s.items():
            if now_s - since_s > ABANDON_S:
                self._outbox.abandon(name, "no application has this action any more")

    def _committed(self, alerts: Sequence[Alert]) -> None:
        self._receivers.wake()
        self._uplink.wake()
        if self._config.publishAlerts:
            self._to_publish.extend(alerts)
            self._house_wake.set()

    def _reported(self, reports: Sequence[InsightReport]) -> None:
        self._reports.wake()
        self._to_show.extend(reports)
        self._house_wake.set()

    # -- the housekeeping thread --------------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        """What may wait for the nucleus or the disk: it must not hold up judging."""
        due = {self._listen: 0.0, self._trim: 0.0, self._tell_device: 0.0, self._tell_cloud: 0.0}
        while not self._stopping.is_set():
            self._house_wake.clear()
            self._publish_alerts()
            self._show_reports()
            for task in list(due):
                if time.monotonic() >= due[task]:
                    try:
                        due[task] = time.monotonic() + task()
                    except Exception:
                        log.exception("housekeeping failed")
                        due[task] = time.monotonic() + TRIM_S
            self._house_wake.wait(max(0.0, min(due.values()) - time.monotonic()))

    def _listen(self) -> float:
        try:
            self._link.listen(self._uplink.acknowledged)
        except VedetteError as error:
            log.warning("acknowledgements of the cloud cannot be heard yet: %s", error.message)
            return LISTEN_RETRY_S
        return float("inf")

    def _trim(self) -> float:
        identity, cursor = self._judged
        followers, more = self._followers(), True
        while more and not self._stopping.is_set():
            pruned = self._retention.step(identity, cursor, time.time(), followers)
            more = pruned.more
            if pruned.unjudged:
                self._unjudged += pruned.unjudged
                log.error("the journal is full: %d batches were deleted before they were judged", pruned.unjudged)
            for name, count in pruned.unread.items():
                self._unread[name] += count
                log.error("the journal is full: %d batches were deleted before hook %s had them", count, name)
            time.sleep(0.01)  # writers have their turn
        return TRIM_S

    def _followers(self) -> list[Follower]:
        """Hooks that read the journal too. One that has never run has no position, and holds nothing up."""
        found = []
        for hook in self._hooks:
            position = read_cursor(self._layout.hooks / hook.application / f"{hook.name}.db")
            sources = tuple({route.pipeline for route in hook.routes})
            if position is not None and sources:
                found.append(Follower(hook.key, *position, sources))
        return found

    def _tell_device(self) -> float:
        health = self.health().model_dump(mode="json")
        try:
            write_component_status(self._directory, COMPONENT, health)
            self._bus.publish_local(topics.local_alerting(), health)
        except VedetteError as error:
            log.debug("state not told: %s", error.message)
        return LOCAL_HEALTH_S

    def _tell_cloud(self) -> float:
        try:
            self._bus.publish_cloud(topics.cloud_health(self._device), health_message(self.health(), self._directory))
        except VedetteError as error:
            log.debug("state not told to the cloud: %s", error.message)
        return CLOUD_HEALTH_S

    def _publish_alerts(self) -> None:
        while self._to_publish:
            try:
                message: dict[str, Any] = self._to_publish.popleft().model_dump(mode="json", exclude_none=True)
                self._bus.publish_local(topics.local_alerts(), message)
            except VedetteError as error:
                log.warning("an alert was not published on the device: %s", error.message)
                return

    def _show_reports(self) -> None:
        fresh = [self._to_show.popleft() for _ in range(len(self._to_show))]
        if fresh:
            try:
                self._latest.add(fresh)
            except VedetteError as error:
                log.debug("insights not shown: %s", error.message)

    def _close(self) -> None:
        self._judge.commit()
        self._stopping.set()
        self._house_wake.set()
        self._uplink.close()
        self._reports.close()
        self._receivers.close(self._alive)
        self._house.join(STEP_S)
        self._reader.close()
        self._outbox.close()


def main() -> None:
    """The worker process: its specification comes from the supervisor."""
    from vedette.adapters.supervision import ChildLink

    link = ChildLink()
    from vedette.adapters.bus.greengrass import GreengrassBus
    from vedette.compose.processes import configure_logging

    config = AlertingConfig.model_validate(link.spec["config"])
    redaction = configure_logging(config.logLevel)
    link.beat(0)
    run_directory = StateLayout(Path(config.stateDirectory)).run
    while not run_directory.is_dir():  # its owner, vedette.CameraIngest, has not made it yet
        link.beat(0)
        if link.closed.wait(STEP_S):
            return
    try:
        bus = GreengrassBus()
        worker = AlertingWorker(
            config,
            str(link.spec["device"]),
            bus,
            beat=link.beat,
            learned=redaction.add,
            wants_evidence=lambda wanted: link.send({"evidence": wanted}),
        )
    except VedetteError as error:
        log.error("%s", error)
        logging.shutdown()
        os._exit(1)  # the bus' threads must not keep a worker that cannot work
    worker.run(link.closed.is_set)
    bus.close()
