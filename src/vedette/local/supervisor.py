"""The life of one component: install, run, restart, give up, stop.

A failed process is started again after a second; the third failure within an hour is the last (nucleus lite
writes ``RestartSec=1``, ``StartLimitBurst=3``, ``StartLimitInterval=3600``). Exit status 0 is the end of the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from vedette.contracts.errors import CoreError
from vedette.local.logfile import BoundedLog
from vedette.local.process import KeptProcess, Outcome

logger = logging.getLogger(__name__)

RESTART_DELAY_S: Final = 1.0
MAX_FAILURES: Final = 3
FAILURE_WINDOW_S: Final = 3600.0
INSTALL_TIMEOUT_S: Final = 120.0


class ComponentState(StrEnum):
    """Where a component is in its life, under Greengrass's names."""

    NEW = "NEW"
    INSTALLED = "INSTALLED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    ERRORED = "ERRORED"
    BROKEN = "BROKEN"
    STOPPING = "STOPPING"


#: States in which nothing more will happen by itself.
SETTLED: Final = frozenset((ComponentState.FINISHED, ComponentState.BROKEN))


class FailureWindow:
    """Counts failures within the last hour of the monotonic clock."""

    def __init__(self, limit: int = MAX_FAILURES, window_s: float = FAILURE_WINDOW_S) -> None:
        self._times_s: deque[float] = deque(maxlen=limit)
        self._limit = limit
        self._window_s = window_s

    def record(self, now_s: float) -> bool:
        """Notes a failure; True where it is one too many."""
        self._times_s.append(now_s)
        while now_s - self._times_s[0] > self._window_s:
            self._times_s.popleft()
        return len(self._times_s) >= self._limit

    def __len__(self) -> int:
        return len(self._times_s)


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to run.

    Attributes:
        text: for ``sh -c``, every variable replaced.
        environment: the whole environment.
        timeout_s: when it has taken too long; None for never.
    """

    text: str
    environment: Mapping[str, str]
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What a component runs.

    Attributes:
        install: run to its end before anything else; None where there is nothing.
        run: the component itself; None where installing is all.
        folder: working directory.
        log: the log file.
    """

    install: Script | None
    run: Script | None
    folder: Path
    log: Path


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """What is known of a component.

    Attributes:
        state: where it is in its life.
        version: of the recipe that runs.
        pid: of the main process while there is one.
        failures: within the last hour.
        reported_running: whether the component itself said RUNNING over IPC since its last start.
        reason: one sentence where something went wrong; holds no secret.
    """

    state: ComponentState
    version: str
    pid: int | None = None
    failures: int = 0
    reported_running: bool = False
    reason: str = ""


class ComponentRunner:
    """Runs one component. Lives in the event loop of LocalCore.

    Args:
        name: the component.
        version: shown in the status.
        job: what to run.
        ready: awaited before the run script, for the dependencies; raises CoreError where they cannot be met.
        changed: called after each change of the status.
        lite: imitate nucleus lite (clean signals count as success, SIGTERM reaches every process of the
            component as systemd sends it, UpdateState ERRORED is ignored).
        stop_timeout_s: patience between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        name: str,
        version: str,
        job: Job,
        *,
        ready: Callable[[], Awaitable[None]],
        changed: Callable[[], None],
        lite: bool,
        stop_timeout_s: float,
    ) -> None:
        self.name = name
        self.status = ComponentStatus(ComponentState.NEW, version)
        self._job = job
        self._ready = ready
        self._changed = changed
        self._lite = lite
        self._stop_timeout_s = stop_timeout_s
        self._failures = FailureWindow()
        self._process: KeptProcess | None = None
        self._stopping = asyncio.Event()
        self._complaint = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether ``stop`` has been called."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begins the component's life in the background."""
        self._task = asyncio.create_task(self._live(), name=f"component {self.name}")

    async def stop(self) -> None:
        """Ends the component: SIGTERM, patience, SIGKILL. Returns when every process of it is gone."""
        if self._task is None:
            return
        self._stopping.set()
        self._changed()  # wakes it where it waits for a dependency
        if self._process is not None:
            self._set(ComponentState.STOPPING)
            await self._end(self._process)
        await asyncio.wait([self._task])

    def reported(self, state: str) -> None:
        """Takes what the component said of itself (UpdateState)."""
        if state == "RUNNING":
            self._update(reported_running=True)
        elif not self._lite and self._process is not None:
            self._complaint = "the component reported ERRORED"
            self._process.ask("kill")

    async def _live(self) -> None:
        try:
            with BoundedLog(self._job.log) as log:
                if await self._attempt(self._job.install, log, self._install_once):
                    self._set(ComponentState.INSTALLED)
                    await self._ready()
                    if self._stopping.is_set():
                        return
                    if await self._attempt(self._job.run, log, self._run_once):
                        self._set(ComponentState.FINISHED)
        except CoreError as error:
            self._set(ComponentState.BROKEN, reason=error.message)
        except OSError as error:
            self._set(ComponentState.BROKEN, reason=f"{error.filename or 'log'}: {error.strerror}")
        finally:
            if self._stopping.is_set() and self.status.state is not ComponentState.BROKEN:
                self._set(ComponentState.FINISHED)

    async def _attempt(
        self, script: Script | None, log: BoundedLog, once: Callable[[Script, BoundedLog], Awaitable[str]]
    ) -> bool:
        """Runs a script until it succeeds; False where it is given up or the component is being stopped."""
        while script is not None and not self._stopping.is_set():
            problem = await once(script, log)
            if self._stopping.is_set():
                return False
            if not problem:
                return True
            last = self._failures.record(time.monotonic())
            log.write(f"[vedette] {problem}\n".encode())
            state = ComponentState.BROKEN if last else ComponentState.ERRORED
            self._set(state, reason=f"{problem}; see {self._job.log}", failures=len(self._failures))
            logger.warning("%s: %s%s", self.name, problem, ", given up (third failure in an hour)" if last else "")
            if last:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RESTART_DELAY_S)
        return script is None

    async def _install_once(self, script: Script, log: BoundedLog) -> str:
        return await self._once("install", script, log, ComponentState.NEW)

    async def _run_once(self, script: Script, log: BoundedLog) -> str:
        return await self._once("run", script, log, ComponentState.RUNNING)

    async def _once(self, phase: str, script: Script, log: BoundedLog, state: ComponentState) -> str:
        """Runs a script once; an empty text where it succeeded, else what went wrong."""
        self._complaint = ""
        if state is ComponentState.RUNNING:
            self._set(ComponentState.STARTING)
        try:
            process = await KeptProcess.start(
                ["sh", "-c", script.text],
                environment=script.environment,
                folder=self._job.folder,
                log=log.write,
            )
        except CoreError as error:
            return error.message
        self._process = process
        self._set(state, pid=process.pid)
        if self._stopping.is_set():  # stop() came while the process was being started
            await self._end(process)
        outcome = await self._outcome(process, script.timeout_s)
        self._process = None
        self._update(pid=None, reported_running=False)
        if outcome is None:
            return f"{phase}: not done within {script.timeout_s:.0f} s"
        if self._complaint:
            return f"{phase}: {self._complaint}"
        return "" if outcome.is_clean(lite=self._lite) else f"{phase}: {outcome}"

    async def _outcome(self, process: KeptProcess, timeout_s: float | None) -> Outcome | None:
        waiting = asyncio.ensure_future(process.wait())
        done, _ = await asyncio.wait([waiting], timeout=timeout_s)
        if not done:
            await self._end(process, waiting)
            return None
        return waiting.result()

    async def _end(self, process: KeptProcess, waiting: asyncio.Future[Outcome] | None = None) -> None:
        process.ask("stop-all" if self._lite else "stop")
        watched: asyncio.Future[Outcome] | asyncio.Task[None] | None = waiting or self._task
        assert watched is not None
        if watched is asyncio.current_task():
            asyncio.get_running_loop().call_later(self._stop_timeout_s, process.ask, "kill")
            return
        done, _ = await asyncio.wait([watched], timeout=self._stop_timeout_s)
        if not done:
            logger.warning("%s did not end within %.1f s of SIGTERM; killed", self.name, self._stop_timeout_s)
            process.ask("kill")
            await asyncio.wait([watched])

    def _set(self, state: ComponentState, *, reason: str = "", pid: int | None = None, failures: int = -1) -> None:
        known = self.status.failures if failures < 0 else failures
        if state is ComponentState.STOPPING:
            pid = self.status.pid
        self.status = ComponentStatus(state, self.status.version, pid, known, False, reason)
        self._changed()

    def _update(self, **fields: object) -> None:
        self.status = replace(self.status, **fields)  # type: ignore[arg-type]
        self._changed()
