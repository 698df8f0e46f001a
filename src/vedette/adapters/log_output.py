"""Log lines to standard error by a thread of their own: who logs never waits for whoever reads the lines."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from typing import Final

#: Lines that wait while nobody reads; newer ones are left out, and counted.
LINES_LIMIT: Final = 1_000
#: What is kept of a line.
LINE_BYTES: Final = 64 << 10
#: How long a process that ends waits for its last lines to be read.
FLUSH_S: Final = 0.5


class LogOutput(logging.Handler):
    """Writes formatted records to a descriptor; once it is read again, says how many were left out.

    Args:
        descriptor: where to.
    """

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._writing = False
        self._left_out = 0
        self._thread: threading.Thread | None = None

    @property
    def left_out(self) -> int:
        """Lines that were not kept, and of which nothing was said yet."""
        return self._left_out

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; never waits and never raises."""
        try:
            line = self.format(record)
        except (TypeError, ValueError) as error:  # arguments that do not fit the format
            line = f"a log record of {record.name} cannot be shown: {type(error).__name__}"
        data = line.encode("utf-8", "backslashreplace")[:LINE_BYTES] + b"\n"
        with self._changed:
            if len(self._lines) >= LINES_LIMIT:
                self._left_out += 1
                return
            self._lines.append(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="log-output", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait for what is queued to be written, for half a second at most."""
        limit_s = time.monotonic() + FLUSH_S
        with self._changed:
            while (self._lines or self._writing) and (left_s := limit_s - time.monotonic()) > 0:
                self._changed.wait(left_s)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                while not self._lines:
                    self._changed.wait()
                self._writing = True
                data = self._lines.popleft()
                if self._left_out and not self._lines:
                    data += b"%d log lines were left out here: nobody read them\n" % self._left_out
                    self._left_out = 0
            self._put(data)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except BlockingIOError:  # somebody made it non-blocking: as if it were not read
            with self._changed:
                self._left_out += 1
        except OSError:  # closed, or whoever read is gone: there is nobody to tell
            return
