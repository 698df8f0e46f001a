"""One process of a component, under its keeper."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.contracts.errors import CoreError
from vedette.local import keeper

logger = logging.getLogger(__name__)

_READ_BYTES: Final = 65536
KEEPER_GRACE_S: Final = 1.0
#: Signals systemd counts as a clean end (systemd.service(5), Restart=).
CLEAN_SIGNALS: Final = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process ended.

    Attributes:
        code: exit status; None where a signal ended it.
        signal_number: the signal; None where it exited.
    """

    code: int | None = None
    signal_number: int | None = None

    def is_clean(self, *, lite: bool) -> bool:
        """Whether the nucleus counts this as a success."""
        return self.code == 0 or (lite and self.signal_number in CLEAN_SIGNALS)

    def __str__(self) -> str:
        if self.signal_number is not None:
            with contextlib.suppress(ValueError):
                return f"ended by {signal.Signals(self.signal_number).name}"
            return f"ended by signal {self.signal_number}"
        return f"exit status {self.code}"


class KeptProcess:
    """A running command whose whole family ends with it."""

    def __init__(self, process: asyncio.subprocess.Process, pid: int, log: Callable[[bytes], None]) -> None:
        self._process = process
        self.pid = pid
        self._copier = asyncio.create_task(self._copy(log))

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Callable[[bytes], None],
    ) -> KeptProcess:
        """Starts a command and returns once its program runs.

        Args:
            command: program and arguments.
            environment: the whole environment, nothing is inherited.
            folder: working directory.
            log: receives standard output and standard error.

        Raises:
            CoreError: the program cannot be run.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            keeper.__file__,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,  # Ctrl-C at the terminal is LocalCore's to handle
        )
        assert process.stdout is not None
        first = await process.stdout.readline()
        told = json.loads(first) if first else {"error": "its keeper ended at once"}
        if "pid" not in told:
            await process.wait()
            raise CoreError(f"the script cannot be started: {told.get('error')}.", code="V604")
        return cls(process, int(told["pid"]), log)

    async def _copy(self, log: Callable[[bytes], None]) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(_READ_BYTES):
            try:
                log(data)
            except OSError as error:  # a full disk must not block the component on its own output
                logger.warning("a log line is lost: %s", error.strerror)

    async def wait(self) -> Outcome:
        """How the main process ended, once every process it left behind is gone and the log is complete."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        await self._process.wait()
        with contextlib.suppress(TimeoutError):
            # Without a line somebody killed the keeper, and what it kept may hold the pipe open.
            await asyncio.wait_for(self._copier, None if line else KEEPER_GRACE_S)
        told = json.loads(line) if line else {"signal": int(signal.SIGKILL)}  # the keeper itself was killed
        return Outcome(told.get("exit"), told.get("signal"))

    def ask(self, request: str) -> None:
        """Sends ``stop``, ``stop-all`` or ``kill`` to the keeper; nothing happens where all is over."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(f"{request}\n".encode())
