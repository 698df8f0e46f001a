"""The process that makes evidence: pending records in, pictures and clips out. What fails is said in the record."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vedette.adapters.evidence.store import EvidenceStore, folder_name
from vedette.adapters.models.store import ModelStore
from vedette.adapters.packets import PacketFeed
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.plan_file import PlanFile
from vedette.compose.evidence_maker import EvidenceMaker
from vedette.compose.privacy import Maskers
from vedette.contracts.config import AlertingConfig
from vedette.contracts.errors import VedetteError
from vedette.contracts.evidence import EvidenceRecord, EvidenceState, Shortfall
from vedette.contracts.plan import Plan
from vedette.contracts.privacy import Privacy
from vedette.core.evidence import MARGIN_S, Found, find_picture

log = logging.getLogger(__name__)

#: How often pending records are looked for, and the plan's file.
STEP_S: Final = 0.2
PLAN_S: Final = 1.0
#: How long after a clip's end its packets may still come.
WAIT_S: Final = 8.0
#: With people covered: what was seen after the last picture counts as well.
SETTLE_S: Final = 5.0
#: So much more than a clip needs must be there: pictures are sent in another order than they are shown in.
REORDER_S: Final = 0.4
#: A finished record that the disk did not take is written again after this.
RETRY_S: Final = 2.0
#: A camera's packets are followed for so long after the last alert.
LINGER_S: Final = 15.0
#: Free room on the disk that evidence never takes.
FREE_BYTES: Final = 256 << 20
#: A record that has ended this process so often is given up.
ATTEMPTS: Final = 3
SNAPSHOT: Final = "snapshot"
CLIP: Final = "clip"


@dataclass(slots=True)
class _Job:
    """One pending record.

    Attributes:
        record: with what was made so far.
        give_up_s: what is not there by then will not come.
        version: of the camera's packets when they were last looked at.
        tried: whether the snapshot was made, or cannot be.
        retry_s: when the finished record is written again; the disk has not taken it.
    """

    record: EvidenceRecord
    give_up_s: float
    version: int = -1
    tried: bool = False
    retry_s: float = 0.0


class EvidenceKeeper:
    """Everything of the process. For one thread.

    Args:
        config: the component's.
        beat: called at each step.
        monotonic: clock.
    """

    def __init__(
        self,
        config: AlertingConfig,
        *,
        beat: Callable[[int], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        layout = StateLayout(Path(config.stateDirectory))
        self._config = config
        self._layout = layout
        self._beat = beat
        self._monotonic = monotonic
        self._store = EvidenceStore(layout.evidence)
        models = ModelStore(Path(config.modelDirectory) if config.modelDirectory else layout.models)
        maskers = Maskers(models, config.faceModel, config.personModel)
        self._maker = EvidenceMaker(self._store, layout.root / "journal.db", maskers)
        self._plan_file = PlanFile(layout.plan)
        self._plan = Plan()
        self._plan_due_s = 0.0
        self._looked_s = float("-inf")
        self._jobs: dict[str, _Job] = {}
        self._feeds: dict[str, PacketFeed] = {}
        self._idle_since_s: dict[str, float] = {}
        self._steps = 0

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Make evidence until ``stopped``, which waits up to so many seconds, says so."""
        self._store.recover()
        try:
            while not stopped(STEP_S):
                self.step()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the cameras; idempotent."""
        for feed in self._feeds.values():
            feed.close()

    def step(self) -> None:
        """Look for records and do what can be done now."""
        now_s = self._look()
        for name, job in list(self._jobs.items()):
            if self._advance(job, now_s):
                del self._jobs[name]
            self._tick()
        self._let_go(self._monotonic())

    def _look(self) -> float:
        """Tell of life, and look at the plan and for records, whose cameras are followed; nothing is made. The time."""
        self._steps += 1
        self._beat(self._steps)
        now_s = self._looked_s = self._monotonic()
        self._look_at_plan(now_s)
        self._look_for_records(now_s)
        return now_s

    def _tick(self) -> None:
        """Look while something is made: a camera keeps packets for seconds, and covering people takes minutes.

        What is found waits for its turn.
        """
        if self._monotonic() - self._looked_s < STEP_S:
            return
        try:
            self._look()
        except OSError as error:  # no fault of what is being made; where it lasts, the next step ends on it
            log.warning("new evidence cannot be looked for: %s", error.strerror or error)

    def _look_at_plan(self, now_s: float) -> None:
        if now_s < self._plan_due_s:
            return
        self._plan_due_s = now_s + PLAN_S
        try:
            if self._plan_file.changed():
                self._plan = self._plan_file.read() or Plan()
        except VedetteError as error:
            log.error("the plan cannot be used: %s", error)

    def _look_for_records(self, now_s: float) -> None:
        for record in self._store.pending(self._jobs.keys()):
            name = folder_name(record.alert)
            late_s = max(0.0, time.time() - record.alert.time.timestamp())
            after_s = record.asked.clip.after_s if record.asked.clip is not None else 0.0
            tried = record.snapshot is not None or any(one.what == SNAPSHOT for one in record.shortfalls)
            give_up_s = now_s + max(0.0, after_s - late_s) + WAIT_S
            job = self._jobs[name] = _Job(record, give_up_s, tried=tried)
            if self._store.attempt(name) > ATTEMPTS:
                self._end(job, Shortfall(why="making it has ended its process again and again.", code="V901"))
            elif record.privacy is Privacy.METADATA_ONLY:
                self._end(job, Shortfall(why="no picture is kept: privacy is metadata-only.", code="V902"))
            else:
                self._follow(record)

    def _follow(self, record: EvidenceRecord) -> None:
        clip = record.asked.clip
        stream = next((stream for stream in self._plan.streams if stream.camera == record.camera), None)
        held_s = (stream.pre_roll_s if stream is not None else 0.0) + MARGIN_S + WAIT_S + SETTLE_S
        held_s += clip.before_s + clip.after_s if clip is not None else 0.0
        feed = self._feeds.get(record.camera)
        if feed is None:
            path = self._layout.packets / f"{record.camera}.sock"
            feed = self._feeds[record.camera] = PacketFeed(path, held_s)
        feed.hold(held_s)  # until it is this record's turn, however many are before it
        self._idle_since_s.pop(record.camera, None)

    def _advance(self, job: _Job, now_s: float) -> bool:
        """Do what can be done for a record now; whether it is finished and written."""
        record = job.record
        if record.state is EvidenceState.MADE:
            return self._written(job, now_s)
        feed = self._feeds[record.camera]
        over = now_s >= job.give_up_s + (SETTLE_S if record.privacy is Privacy.BLUR else 0.0)
        if feed.version == job.version and not over:
            return False
        job.version = feed.version
        found = find_picture(feed.items(), record.alert)
        if found is not None:
            self._make(job, found, over=over)
        elif over:
            self._end(job, Shortfall(why=_gone(record, feed.problem), code="V901"))
        return job.record.state is EvidenceState.MADE and self._written(job, now_s)

    def _make(self, job: _Job, found: Found, *, over: bool) -> None:
        """Make what can be made of these packets; the record is at its end where nothing more can."""
        asked = job.record.asked
        settle_s = SETTLE_S if job.record.privacy is Privacy.BLUR else 0.0
        there_s = found.last_s - found.note.media_time_s
        ended = over or found.interrupted
        if not (ended or there_s >= settle_s):
            return
        if asked.snapshot and not job.tried:
            job.tried = True
            job.record = self._guarded(job.record, SNAPSHOT, lambda one: self._maker.snapshot(one, found, self._plan))
            self._store_quietly(job.record)
        if asked.clip is not None:
            if not (ended or there_s >= asked.clip.after_s + max(settle_s, REORDER_S)):
                return
            job.record = self._guarded(
                job.record, CLIP, lambda one: self._maker.clip(one, found, self._plan, self._tick)
            )
        self._end(job)

    def _guarded(
        self, record: EvidenceRecord, what: str, make: Callable[[EvidenceRecord], EvidenceRecord]
    ) -> EvidenceRecord:
        """What was made; where it failed, the record says why, and nothing else suffers."""
        self._make_room()
        try:
            return make(record)
        except VedetteError as error:
            why, code = f"{error.message} {error.hint}".strip(), error.code
        except OSError as error:
            why, code = f"the disk does not take it: {error.strerror}.", "V405"
        except Exception as error:
            log.exception("evidence of alert %s", record.alert.alert_id)
            why, code = f"a fault of vedette itself: {error!r}", "V901"
        shortfall = Shortfall(what=what, why=why[:600], code=code)
        return record.model_copy(update={"shortfalls": (*record.shortfalls, shortfall)})

    @staticmethod
    def _end(job: _Job, *shortfalls: Shortfall) -> None:
        """Nothing more will be made; the record waits to be written."""
        done = {"state": EvidenceState.MADE, "made": datetime.now(UTC)}
        job.record = job.record.model_copy(update=done | {"shortfalls": (*job.record.shortfalls, *shortfalls)})

    def _written(self, job: _Job, now_s: float) -> bool:
        """Write the finished record; False where the disk does not take it yet."""
        record = job.record
        if now_s < job.retry_s:
            return False
        try:
            self._store.finish(record)
        except VedetteError as error:
            log.error("evidence of alert %s: %s; tried again", record.alert.alert_id, error)
            job.retry_s = now_s + RETRY_S
            return False
        for shortfall in record.shortfalls:
            log.warning("evidence of alert %s falls short: %s %s", record.alert.alert_id, shortfall.code, shortfall.why)
        self._make_room()
        return True

    def _store_quietly(self, record: EvidenceRecord) -> None:
        """A snapshot can be looked at while the clip is still being made."""
        try:
            self._store.write(record)
        except VedetteError as error:
            log.warning("evidence of alert %s: %s", record.alert.alert_id, error)

    def _make_room(self) -> None:
        try:
            free = shutil.disk_usage(self._store.directory).free
            for name in self._store.make_room(self._config.evidenceMaxBytes, free - FREE_BYTES):
                log.info("evidence %s gave way to new", name)
        except OSError as error:
            log.warning("evidence cannot be looked after: %s", error.strerror)

    def _let_go(self, now_s: float) -> None:
        busy = {job.record.camera for job in self._jobs.values() if job.record.state is EvidenceState.PENDING}
        for camera in self._feeds.keys() - busy:
            if camera not in self._idle_since_s:
                self._idle_since_s[camera] = now_s
                self._feeds[camera].release()
            elif now_s - self._idle_since_s[camera] > LINGER_S:
                self._feeds.pop(camera).close()
                del self._idle_since_s[camera]


def _gone(record: EvidenceRecord, problem: str) -> str:
    if problem:
        return f"the video of the moment is not there: {problem}."
    if not record.alert.epoch:
        return "the alert names no picture, and none near its time is there."
    return "the video of the moment is not there any more, or the camera was interrupted."


def main() -> None:
    """The process: its specification comes from the supervisor."""
    from vedette.adapters.supervision import ChildLink

    link = ChildLink()
    from vedette.compose.processes import configure_logging

    os.nice(10)  # making evidence waits for everything else
    config = AlertingConfig.model_validate(link.spec["config"])
    configure_logging(config.logLevel)
    link.beat(0)
    keeper = EvidenceKeeper(config, beat=link.beat)
    keeper.run(link.closed.wait)
