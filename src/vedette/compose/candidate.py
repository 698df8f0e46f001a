"""A candidate on a device: attached beside the running version, compared with it, reported, taken away again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vedette.adapters.journal.reader import SqliteJournalReader
from vedette.adapters.manifest import attached_application
from vedette.adapters.manifest.application_tests import application_tests
from vedette.adapters.state.client import StateClient
from vedette.adapters.state.files import read_component_status
from vedette.compose.candidate_progress import Progress
from vedette.compose.golden_clips import GoldenRun
from vedette.contracts.comparison import ComparisonReport, GoldenClips
from vedette.contracts.config import CandidateConfig
from vedette.contracts.errors import DeliveryError, StorageError, VedetteError
from vedette.contracts.manifest import Manifest
from vedette.contracts.state import AttachCandidateRequest, DetachCandidateRequest, PlanRequest, StateAnswer
from vedette.contracts.tracks import TrackBatch
from vedette.core.comparison import RUNNING, Place
from vedette.core.comparison_report import Compared, fitted, notes_of, why_nothing
from vedette.core.messages import one_line
from vedette.core.parameters import with_parameters
from vedette.core.plan_candidates import not_compared

logger = logging.getLogger("vedette.candidate")

#: Between two looks at the plan: the running version, and what of it is compared.
PLAN_S: Final = 2.0
SAVE_S: Final = 5.0
REPORT_S: Final = 60.0
#: After a report that could not be sent.
REPORT_AGAIN_S: Final = 10.0
#: A device on which no version runs is waited for that long: it may be starting.
ALONE_S: Final = 120.0
#: Rows of the journal read at once, and how often in one step.
_ROWS: Final = 500
_READS: Final = 40
_REMIND_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a candidate is given.

    Attributes:
        directory: the application's.
        manifest: of the new version.
        device: name of the device.
        work: folder of its own, where it keeps how far it has come.
        publish: sends a report; raises ``DeliveryError`` where it could not be handed over.
        tests: command that runs the application's tests, without values of parameters.
    """

    directory: Path
    manifest: Manifest
    device: str
    work: Path
    publish: Callable[[bytes], None]
    tests: Sequence[str]


class Candidate:
    """Compares one new version with the running one. Everything happens in ``step``, which never waits for long.

    Args:
        around: what it is given.
        config: its configuration; with another one a new object is made.
        monotonic: clock of all intervals.
        now: time of reports.

    Raises:
        ConfigurationError: V106, a value of a parameter is not allowed.
    """

    def __init__(
        self,
        around: Surroundings,
        config: CandidateConfig,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        with_parameters(around.manifest, config.parameters)
        self._around = around
        self._config = config
        self._policy = config.task.policy
        self._state = Path(config.stateDirectory)
        self._name = around.manifest.name
        self._monotonic = monotonic
        self._now = now
        self._progress = Progress.load(around.work, _identity(around.manifest, config), self._policy)
        self._client: StateClient | None = None
        self._journal: SqliteJournalReader | None = None
        self._golden: GoldenRun | None = None
        self._compared = Compared()
        self._attached = self._taken_away = False
        self._answered = False
        self._refused = ""
        self._not_compared = not_compared(around.manifest)
        at_s = self._at_s = monotonic()
        self._plan_due_s = at_s
        self._report_due_s = at_s if self._progress.done else at_s + REPORT_S
        self._save_due_s = at_s + SAVE_S
        self._reminded_s = at_s - _REMIND_S
        self._reported_done = False
        if self._progress.done:
            logger.info("the comparison of %s %s was done before", self._name, around.manifest.version)

    @property
    def done(self) -> bool:
        """Whether the comparison is over."""
        return self._progress.done

    @property
    def attached(self) -> bool:
        """Whether the device knows of the candidate."""
        return self._attached

    def step(self) -> None:
        """Do what is due. What goes wrong is told in the report: a candidate that ends would tell nothing."""
        now_s = self._monotonic()
        if not self._progress.done:
            self._compare(now_s - self._at_s)
            self._run_tests()
            if self._over():
                self._progress.done = True
                self._save()
                self._report_due_s = now_s
                logger.info("the comparison is done: %d pictures", self._progress.comparer.frames)
            elif now_s >= self._save_due_s:
                self._save()
        self._at_s = now_s
        if self._progress.done or self._progress.comparer.complete:
            self._take_away()
        if now_s >= self._report_due_s and not self._reported_done:
            self._report(now_s)

    def close(self) -> None:
        """Take the candidate away, end what runs, keep how far it has come."""
        self._take_away()
        if not self._progress.done:
            self._save()
        self._hang_up()
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._golden is not None:
            self._golden.close()
            self._golden = None

    # --- the device ----------------------------------------------------------------------------------------------

    def _compare(self, elapsed_s: float) -> None:
        """Look at the plan where that is due, read the journal, count the time."""
        if self._progress.comparer.complete:
            return
        now_s = self._monotonic()
        if now_s >= self._plan_due_s:
            self._plan_due_s = now_s + PLAN_S
            self._ask()
        if self._attached:
            self._read()
        # Time in which the device's own components are away counts as well: a comparison has an end.
        self._progress.spent_s += elapsed_s

    def _ask(self) -> None:
        """Attach where that has not been done on this connection; what runs, and what is compared."""
        try:
            if self._client is None:
                self._client = StateClient(self._state)
                self._attached = False
            if not self._attached:
                application = attached_application(
                    self._around.directory,
                    self._config.bindings,
                    manifest=self._around.manifest,
                    parameters=self._config.parameters,
                )
                self._client.request(AttachCandidateRequest(application=application))
                self._attached = True
                logger.info("candidate %s %s attached", self._name, self._around.manifest.version)
            self._look(self._client.request(PlanRequest()))
        except VedetteError as error:  # the owner is away, or does not want it, or is of a release that knows no such
            self._hang_up()
            self._refused = one_line(f"the device does not take the candidate: {error.code} {error.message}", 400)
            if self._monotonic() - self._reminded_s >= _REMIND_S:
                self._reminded_s = self._monotonic()
                logger.warning("waiting for the owner of the state directory: %s", error)

    def _look(self, answer: StateAnswer) -> None:
        version = self._around.manifest.version
        if not any((one.name, one.version) == (self._name, version) for one in answer.candidates):
            self._attached = False  # someone took it away; it is attached again
            return
        self._answered, self._refused = True, ""
        running = next((one.version for one in answer.applications if one.name == self._name), None)
        # A version that is away for a moment is not another one.
        if running is not None and running != self._progress.against:
            if self._progress.against is not None:
                logger.info("%s runs now and not %s: the comparison begins anew", running, self._progress.against)
            self._progress.begin_anew(self._policy, running)
            self._save()
        if answer.plan is not None:
            compared = Compared.of(answer.plan, self._name)
            if compared.problems != self._compared.problems:
                for problem in compared.problems:
                    logger.warning("%s", problem)
            self._compared = compared
            self._progress.comparer.set_reported(compared.labels[RUNNING])

    def _take_away(self) -> None:
        """Detach, once; where the owner is not there, later."""
        if self._taken_away:
            return
        try:
            if self._client is None:
                self._client = StateClient(self._state)
            self._client.request(DetachCandidateRequest(name=self._name))
        except VedetteError as error:
            self._hang_up()
            logger.debug("not taken away yet: %s", error)
            return
        self._taken_away, self._attached = True, False
        self._hang_up()
        logger.info("candidate %s taken away", self._name)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._attached = False

    # --- the journal ---------------------------------------------------------------------------------------------

    def _read(self) -> None:
        if self._journal is None:
            self._journal = SqliteJournalReader(self._state / "journal.db", repair=False)
        progress, journal = self._progress, self._journal
        identity = journal.identity()
        if identity != progress.journal:
            # Of one that is there at the start only what comes from now on; one that is begun meanwhile is read whole.
            progress.row = journal.newest() if progress.journal is None else 0
            progress.journal = identity
            progress.comparer.forget_waiting()
        places = self._compared.places
        for _ in range(_READS):
            rows = journal.read(progress.row, _ROWS)
            for number, found in rows:
                progress.row = number
                if isinstance(found, TrackBatch) and found.pipeline in self._compared.sources:
                    version, pipeline = self._compared.sources[found.pipeline]
                    place = Place(pipeline, found.frame.camera)
                    if place in places:
                        progress.comparer.add(version, place, found, number)
            if len(rows) < _ROWS or progress.comparer.complete:
                return

    # --- the application's own tests -----------------------------------------------------------------------------

    def _run_tests(self) -> None:
        progress = self._progress
        if progress.golden is not None:
            return
        if self._golden is None:
            count = len(application_tests(self._around.directory))
            if count == 0:
                progress.golden = GoldenClips()
                return
            self._golden = GoldenRun(
                [*self._around.tests, *_assignments(self._config)],
                count,
                self._around.work,
                # Models without a path are looked for in the device's store.
                {"VEDETTE_HOME": str(self._state)},
                limit_s=float(self._policy.timeout_s),
                clock=self._monotonic,
            )
            return
        progress.golden = self._golden.poll()
        if progress.golden is not None:
            self._golden.close()
            self._golden = None
            self._save()

    # --- what came of it -----------------------------------------------------------------------------------------

    def _over(self) -> bool:
        progress = self._progress
        if progress.golden is None:
            return False
        limit_s = float(self._policy.timeout_s)
        if progress.against is None and self._answered:
            limit_s = min(limit_s, ALONE_S)
        if self._not_compared and progress.against is not None:
            return True
        return progress.comparer.complete or progress.spent_s >= limit_s

    def _report(self, now_s: float) -> None:
        report = self.report()
        try:
            self._around.publish(fitted(report))
        except DeliveryError as error:
            logger.warning("the report is sent again: %s", error.message)
            self._report_due_s = now_s + REPORT_AGAIN_S
            return
        self._report_due_s = now_s + REPORT_S
        self._reported_done = report.done

    def report(self) -> ComparisonReport:
        """What there is to tell."""
        progress, comparer = self._progress, self._progress.comparer
        labels = comparer.labels()
        problem = ""
        if comparer.frames == 0:
            problem = self._refused
            if self._not_compared and progress.against is not None:
                problem = ""
            elif progress.against is not None and not problem:
                problem = why_nothing(self._compared, self._models())
        return ComparisonReport(
            time=self._now(),
            device=self._around.device,
            rollout_id=self._config.task.rollout_id,
            application=self._name,
            version=self._around.manifest.version,
            against=progress.against,
            done=progress.done,
            frames=comparer.frames,
            labels=labels,
            golden=progress.golden,
            problem=problem,
            not_compared=self._not_compared or None,
            notes=notes_of(self._compared, comparer.added) if progress.against is not None else (),
        )

    def _models(self) -> dict[str, object]:
        models = read_component_status(self._state).get("vedette.Inference", {}).get("models")
        return models if isinstance(models, dict) else {}

    def _save(self) -> None:
        self._save_due_s = self._monotonic() + SAVE_S
        try:
            self._progress.save(self._around.work)
        except StorageError as error:  # a restart will begin anew; until then nothing is lost
            logger.warning("%s", error)


def _identity(manifest: Manifest, config: CandidateConfig) -> str:
    """What is compared for whom. With another binding or value it is another comparison."""
    document = {
        "task": config.task.model_dump(mode="json"),
        "application": manifest.name,
        "version": manifest.version,
        "bindings": {name: list(devices) for name, devices in sorted(config.bindings.items())},
        "parameters": dict(sorted(config.parameters.items())),
    }
    return json.dumps(document, sort_keys=True, default=list)


def _assignments(config: CandidateConfig) -> list[str]:
    found: list[str] = []
    for name, value in sorted(config.parameters.items()):
        if value is not None:
            found += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value, default=list)}"]
    return found
