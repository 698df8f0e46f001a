"""Simulated cameras in a process of their own, as real cameras are."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from vedette.contracts.errors import UsageError

START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 5.0
MAX_LOOPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class LoopStart:
    """A simulated camera begins its recording anew.

    Attributes:
        camera: which one.
        loop: 0 for the first.
        wall_time_s: Unix time at which the picture with media time 0 goes out.
        duration_s: length of the recording.
    """

    camera: str
    loop: int
    wall_time_s: float
    duration_s: float


class SimulatedCameras:
    """``vedette camera simulate`` as a child process. Use as a context manager.

    Args:
        files: camera name → recording; several may share one file.
        log_file: where the simulator's own words go.
        port: port to listen on; 0 takes a free one.
        control: Unix socket for commands, see ``vedette.testing.camera.ControlClient``.
        separate_ports: a port for each camera, so that one of them can be away as a whole.
        user: asked for by Digest authentication; empty for open cameras.
        password_file: its first line is the password of ``user``.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        *,
        log_file: Path,
        port: int = 0,
        control: Path | None = None,
        separate_ports: bool = False,
        user: str = "",
        password_file: Path | None = None,
    ) -> None:
        self._files = dict(files)
        self._log_file = log_file
        self._port = port
        self._control = control
        self._options = ["--separate-ports"] if separate_ports else []
        if user and password_file is not None:
            self._options += ["--user", user, "--password-file", str(password_file)]
        self._reader: threading.Thread | None = None
        self._loops: deque[LoopStart] = deque(maxlen=MAX_LOOPS)
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self.urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start the simulator and wait until every camera can be reached.

        Raises:
            UsageError: V702, it did not start; its own words are in the message.
        """
        command = [sys.executable, "-m", "vedette", "camera", "simulate", "--json", "--port", str(self._port)]
        if self._control is not None:
            command += ["--control", str(self._control)]
        command += self._options
        command += [f"{name}={path}" for name, path in self._files.items()]
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            self._read_urls(time.monotonic() + START_LIMIT_S)
            self._reader = threading.Thread(target=self._read_loops, name="simulated-cameras", daemon=True)
            self._reader.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the simulator."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(STOP_LIMIT_S)
        if process.stdout is not None:
            with contextlib.suppress(OSError):
                process.stdout.close()

    def loops(self) -> tuple[LoopStart, ...]:
        """The latest loop starts of all cameras."""
        return tuple(self._loops)

    @property
    def pid(self) -> int:
        """Process number of the simulator, 0 where it does not run."""
        return self._process.pid if self._process is not None else 0

    def _read_urls(self, limit_s: float) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        os.set_blocking(process.stdout.fileno(), False)
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while len(self.urls) < len(self._files):
                if not selector.select(max(0.0, limit_s - time.monotonic())):
                    raise self._failure("it did not say where its cameras are in time")
                chunk = process.stdout.read(65536)
                if not chunk:
                    raise self._failure("it ended")
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
        self._pending = pending

    def _read_loops(self) -> None:
        """Until the simulator ends; nothing waits for us, and nothing piles up."""
        process = self._process
        if process is None or process.stdout is None:
            return
        os.set_blocking(process.stdout.fileno(), True)
        pending = self._pending
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(process.stdout.fileno(), 65536):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("event") == "camera":
            self.urls[message["camera"]] = message["url"]
        elif message.get("event") == "loop":
            self._loops.append(
                LoopStart(message["camera"], message["loop"], message["wall_time_s"], message["duration_s"])
            )

    def _failure(self, what: str) -> UsageError:
        words = self._log_file.read_text(errors="replace").strip().splitlines()
        return UsageError(
            f"the camera simulator did not start: {what}. {words[-1] if words else ''}".strip(), code="V702"
        )
