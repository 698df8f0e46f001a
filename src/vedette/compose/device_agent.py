"""The device agent: hears jobs of AWS IoT, carries out the few it knows, and tells truly how they ended.

Nothing is done before it is written down (``agent/job.json``): a kill or a restart in the middle is found out by
looking at the file, the boot and the helper's answers. The job is forgotten when AWS IoT has taken its end.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.device_helper import DeviceHelper
from vedette.adapters.egress.package import PackageLoader
from vedette.adapters.state.files import read_bounded, read_component_status, write_durably
from vedette.adapters.state.log_levels import LEVEL
from vedette.contracts import topics
from vedette.contracts.base import mistakes
from vedette.contracts.config import DeviceAgentConfig
from vedette.contracts.device_job import (
    DEVICE_JOB,
    JOB_ID,
    MAX_DETAIL,
    DeviceJob,
    JobProgress,
    JobStatus,
    Stage,
    UpdateJob,
)
from vedette.contracts.errors import DeliveryError, StorageError, VedetteError
from vedette.core.fleet.device_job import Ask, Seen, begun, step, wrong_with
from vedette.core.messages import one_line
from vedette.ports.bus import Bus

log = logging.getLogger(__name__)

COMPONENT: Final = "vedette.DeviceAgent"
LOOK_S: Final = 0.5
#: How often AWS IoT is asked for a job without having told of one, and told again what it has not taken yet.
POLL_S: Final = 300.0
RETELL_S: Final = 20.0
#: During a probation the job is told of so often; an answer shows that the device is connected.
BEAT_S: Final = 30.0
#: Answers that are older show nothing any more.
HEARD_S: Final = 70.0
_MAX_MESSAGE: Final = 64 << 10
_MAX_WAITING: Final = 64
#: Jobs that are over are remembered, so that a message that comes twice begins none again.
_ENDED: Final = 32
#: Refusals of AWS IoT after which telling again is of no use: the job is over or gone.
_OVER: Final = frozenset({"InvalidStateTransition", "TerminalStateReached", "ResourceNotFound"})


class DeviceAgent:
    """One device's agent.

    Args:
        bus: Greengrass.
        thing: name of the device.
        loader: of packages.
        monotonic: clock of the boot, seconds.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        bus: Bus,
        thing: str,
        *,
        loader: PackageLoader | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._thing = thing
        self._monotonic = monotonic
        self._clock = clock
        self._loader = loader or PackageLoader()
        self._config = _configuration(bus)
        self._state = Path(self._config.stateDirectory)
        self._helper = DeviceHelper(self._state, Path(self._config.helperDirectory))
        self._heard: queue.Queue[tuple[str, bytes]] = queue.Queue(_MAX_WAITING)
        self._stopping = threading.Event()
        self._progress: JobProgress | None = None
        self._ended = deque(self._kept_ended(), _ENDED)
        self._told: tuple[Stage, JobStatus] | None = None
        self._told_s = self._asked_s = self._answered_s = float("-inf")

    def run(self) -> None:
        """Serve until ``stop``."""
        self._level()
        self._bus.on_configuration_change(self._level)
        self._progress = self._kept()
        for rest in ("notify-next", "start-next/accepted", "start-next/rejected"):
            self._bus.subscribe_cloud(topics.jobs(self._thing, rest), self._hear)
        for answer in ("accepted", "rejected"):
            self._bus.subscribe_cloud(topics.jobs(self._thing, f"+/update/{answer}"), self._hear)
        self._bus.report_running()
        while not self._stopping.is_set():
            self.look(LOOK_S)
        self._loader.stop()

    def stop(self) -> None:
        """End ``run``; from a signal handler too."""
        self._stopping.set()

    def look(self, wait_s: float) -> None:
        """One round: what was heard, then the job."""
        try:
            message = self._heard.get(timeout=wait_s)
        except queue.Empty:
            pass
        else:
            self._take(*message)
        try:
            self._work()
        except StorageError as error:
            log.error("%s The job waits.", error)
            self._stopping.wait(LOOK_S)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _hear(self, topic: str, payload: bytes) -> None:
        """From the bus's thread."""
        if len(payload) > _MAX_MESSAGE:
            log.warning("a message of %d bytes on %s is left out", len(payload), topic)
            return
        try:
            self._heard.put_nowait((topic, payload))
        except queue.Full:
            log.warning("too many messages about jobs; one on %s is left out, and asked for again", topic)

    def _take(self, topic: str, payload: bytes) -> None:
        rest = topic.removeprefix(topics.jobs(self._thing, ""))
        try:
            said = json.loads(payload)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            log.warning("a message on %s is no JSON object", topic)
            return
        if rest == "notify-next":
            if said.get("execution"):
                self._asked_s = float("-inf")  # ask at the next look
        elif rest == "start-next/accepted":
            execution = said.get("execution")
            if isinstance(execution, dict) and execution.get("jobId"):
                self._started(execution)
        elif rest.endswith(("/update/accepted", "/update/rejected")):
            self._answered(rest.partition("/")[0], rest.endswith("accepted"), said)
        else:
            log.warning("AWS IoT refused %s: %s", rest, str(said.get("message", said))[:200])

    def _started(self, execution: Mapping[str, Any]) -> None:
        """AWS IoT handed a job over, or the one again that the device is at."""
        try:
            job_id = JOB_ID.validate_python(execution["jobId"])  # before it is a part of any topic
        except ValidationError:
            log.warning("a job whose id is in no known form is left out: %r", str(execution["jobId"])[:64])
            return
        number = _number(execution.get("executionNumber"))
        if self._progress is not None:
            if (self._progress.job_id, self._progress.execution) == (job_id, number):
                self._told = None  # tell once more how it stands
            return
        if (job_id, number) in self._ended:
            log.warning("job %s is over and was handed over again; it is left out", job_id)
            return
        details = execution.get("statusDetails")
        if isinstance(details, dict) and details.get("stage"):
            self._tell(job_id, JobStatus.FAILED, {"reason": "the device has lost what it knew of this job"})
            return
        try:
            job: DeviceJob = DEVICE_JOB.validate_python(execution.get("jobDocument"))
            progress, ask = begun(job_id, number, job, self._seen(None))
        except ValidationError as error:
            reason = "V021 no job that this device does: " + "; ".join(mistakes(error, "document"))
            log.error("job %s: %s", job_id[:64], reason)
            self._tell(job_id, JobStatus.REJECTED, {"reason": reason[:MAX_DETAIL]})
            return
        log.info("job %s: %s", job_id, job.operation)
        self._keep(progress)
        self._do(progress, ask)

    def _answered(self, job_id: str, accepted: bool, said: Mapping[str, Any]) -> None:
        progress = self._progress
        if progress is None or progress.job_id != job_id:
            self._asked_s = float("-inf")  # the end of a job that was refused: is there another?
            return
        if accepted:
            self._answered_s = self._monotonic()
            if progress.stage is Stage.DONE and str(said.get("clientToken", "")) == progress.status.value:
                self._forget()
        elif said.get("code") in _OVER:
            log.warning("job %s is over for AWS IoT (%s): %s", job_id, said.get("code"), str(said.get("message"))[:200])
            if progress.stage in {Stage.DONE, Stage.LOADING}:
                self._forget()
        else:
            log.warning("job %s: AWS IoT did not take the state: %s", job_id, str(said)[:200])

    # -- the job -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        now_s = self._monotonic()
        if self._progress is None:
            if now_s - self._asked_s >= POLL_S and self._publish("start-next", {"clientToken": "next"}):
                self._asked_s = now_s
            return
        if self._progress.stage is Stage.LOADING and not self._loader.running():  # after a restart of this process
            self._do(self._progress, Ask.LOAD)
        progress, ask = step(self._progress, self._seen(self._progress))
        if progress != self._progress:
            self._keep(progress)
        if ask is not None:
            self._do(progress, ask)
        state = (progress.stage, progress.status)
        every_s = RETELL_S if progress.stage is Stage.DONE else BEAT_S
        if state != self._told or now_s - self._told_s >= every_s:
            details = {"stage": progress.stage.value} | ({"reason": progress.reason} if progress.reason else {})
            if self._tell(progress.job_id, progress.status, details):
                self._told, self._told_s = state, now_s

    def _seen(self, progress: JobProgress | None) -> Seen:
        now_s = self._monotonic()
        wrong = wrong_with(read_component_status(self._state), self._clock())
        if progress is not None and self._unheard(progress, now_s):
            wrong = (*wrong, "no answer from AWS IoT")
        answer = self._helper.answer(progress) if progress is not None else None
        loaded, failure = self._loader.state() if self._loader.running() else (False, "")
        return Seen(
            boot_id=self._boot(),
            now_s=now_s,
            answer=answer.status if answer else "",
            said=answer.reason if answer else "",
            wrong=wrong,
            loaded=loaded,
            load_failure=failure,
        )

    def _unheard(self, progress: JobProgress, now_s: float) -> bool:
        """Whether nothing shows that the device is connected: an answer from before the update shows nothing of it."""
        before = progress.stage is Stage.PROBATION and self._answered_s <= progress.since_s
        return before or now_s - self._answered_s > HEARD_S

    def _do(self, progress: JobProgress, ask: Ask) -> None:
        log.info("job %s: %s", progress.job_id, ask.value)
        if ask is not Ask.LOAD:
            self._helper.ask(progress, ask)
        elif isinstance(progress.job, UpdateJob):
            self._loader.begin(progress.job, self._helper.package)

    def _boot(self) -> str:
        try:
            return Path(self._config.bootIdFile).read_text().strip()[:64] or "unknown"
        except (OSError, UnicodeDecodeError):
            return "unknown"

    def _level(self) -> None:
        """Directories are taken at the start; how much is logged may change at any time."""
        LEVEL.configure(_configuration(self._bus).logLevel, self._state, COMPONENT)

    # -- what is kept, what is told ----------------------------------------------------------------------------------

    @property
    def _file(self) -> Path:
        return self._state / "agent" / "job.json"

    @property
    def _ended_file(self) -> Path:
        return self._state / "agent" / "ended.json"

    def _kept(self) -> JobProgress | None:
        try:
            text = read_bounded(self._file, _MAX_MESSAGE)
            return JobProgress.model_validate_json(text) if text else None
        except ValidationError as error:
            log.error("%s is damaged and left out: %s", self._file, "; ".join(mistakes(error)))
        except StorageError as error:
            log.error("%s", error)
        return None

    def _keep(self, progress: JobProgress) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self._file.parent} cannot be made: {error.strerror}.", code="V401") from None
        write_durably(self._file, progress.model_dump_json().encode())
        self._progress = progress
        if progress.stage is Stage.DONE:
            log.info("job %s: %s: %s", progress.job_id, progress.status.value, progress.reason)

    def _kept_ended(self) -> list[tuple[str, int]]:
        """Jobs that are over, oldest first; none where the file cannot be read."""
        try:
            found = json.loads(read_bounded(self._ended_file, _MAX_MESSAGE) or b"[]")
            return [(str(job_id), int(number)) for job_id, number in found]
        except (StorageError, ValueError, TypeError, RecursionError) as error:
            log.error("%s is left out: %s", self._ended_file, error)
            return []

    def _remember(self, progress: JobProgress) -> None:
        self._ended.append((progress.job_id, progress.execution))
        try:
            write_durably(self._ended_file, json.dumps(list(self._ended)).encode())
        except StorageError as error:  # until the next start it is known all the same
            log.error("%s", error)

    def _forget(self) -> None:
        if self._progress is not None:
            self._remember(self._progress)
        self._file.unlink(missing_ok=True)
        self._helper.forget_package()
        self._loader.stop()
        self._progress, self._told = None, None
        self._asked_s = float("-inf")

    def _tell(self, job_id: str, status: JobStatus, details: Mapping[str, str]) -> bool:
        # AWS IoT takes no control characters, and part of a reason may be what somebody wrote into a job.
        shown = {name: one_line(text, MAX_DETAIL) for name, text in details.items()}
        message = {"status": status.value, "statusDetails": shown, "clientToken": status.value}
        return self._publish(f"{job_id}/update", message)

    def _publish(self, rest: str, message: Mapping[str, Any]) -> bool:
        try:
            self._bus.publish_cloud(topics.jobs(self._thing, rest), json.dumps(message).encode())
        except DeliveryError as error:
            log.debug("%s", error)
            return False
        return True


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else 0


def _configuration(bus: Bus) -> DeviceAgentConfig:
    """The configuration; where it cannot be used, the defaults with a word about it."""
    try:
        known = DeviceAgentConfig.model_fields
        return DeviceAgentConfig.model_validate({k: v for k, v in bus.configuration().items() if k in known})
    except (ValidationError, VedetteError) as error:
        what = "; ".join(mistakes(error)) if isinstance(error, ValidationError) else str(error)
        log.error("V103 the configuration cannot be used (%s); the defaults are in force", what)
        return DeviceAgentConfig()
