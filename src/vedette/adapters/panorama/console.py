"""What an application's program prints: in the component's log, in ``logs/console_output``, and its last lines."""

from __future__ import annotations

import logging
import os
from collections import deque
from pathlib import Path
from typing import Final

from vedette.adapters.hooks.output import Output, printable

log = logging.getLogger(__name__)

#: Size at which the file becomes ``console_output.1``.
FILE_BYTES: Final = 1 << 20
_LAST_LINES: Final = 20
_LINE_CHARACTERS: Final = 300
_PENDING_BYTES: Final = 4096


class Console:
    """Takes the bytes of a program.

    Args:
        application: its name, before each line of the log.
        logs: folder of its logs.
    """

    def __init__(self, application: str, logs: Path) -> None:
        self._output = Output(f"application {application}")
        self._file = logs / "console_output"
        self._pending = b""
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._failed = False

    @property
    def dropped(self) -> int:
        """Lines left out of the log because there were too many."""
        return self._output.dropped

    def last_lines(self, count: int = 5) -> str:
        """The last lines, for people."""
        lines = [*self._lines, *self._pending.decode("utf-8", "replace").splitlines()]
        return "\n".join(printable(line)[:_LINE_CHARACTERS] for line in lines[-count:])

    def feed(self, chunk: bytes) -> None:
        """Bytes that were printed."""
        self._output.feed(chunk)
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        self._pending = self._pending[-_PENDING_BYTES:]
        self._lines += [line.decode("utf-8", "replace") for line in lines if line.strip()]
        self._keep(chunk)

    def flush(self) -> None:
        """The program has ended."""
        self._output.flush()

    def _keep(self, chunk: bytes) -> None:
        """Append to the file. The folder is the program's: a link or a pipe that it put there is not followed."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self._file, flags, 0o644)
            try:
                if os.fstat(descriptor).st_size + len(chunk) > FILE_BYTES:
                    self._file.replace(self._file.with_name("console_output.1"))
                os.write(descriptor, chunk)
            finally:
                os.close(descriptor)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("%s cannot be written: %s", self._file, error.strerror)
            self._failed = True
