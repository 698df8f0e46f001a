"""The child's end of the pipe to its supervisor."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from vedette.adapters.supervision.lines import LineReader, encode
from vedette.contracts.errors import CoreError

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
#: Time a child has to tidy up after its supervisor closed the pipe.
CLOSE_GRACE_S: Final = 1.0
#: Longest beat that a pipe with room takes in one piece (PIPE_BUF on Linux).
ATOMIC_BYTES: Final = 4096
#: Life is reported no more often than this: a supervisor takes a child for hung after two seconds.
BEAT_S: Final = 0.2
#: Messages kept until somebody listens.
BACKLOG: Final = 64


class ChildLink:
    """Reads the specification and messages from the supervisor and reports life.

    Create it first thing in the process, before any slow import: standard output is taken over (what libraries
    print goes to standard error from then on), and the kernel is asked to kill this process with its parent.

    Attributes:
        spec: what ``ChildSpec.spec`` held.
        restarts: how many processes of this name came before.
        reason: why the one before ended; empty for the first.
        closed: set once the supervisor closed the pipe. The process has ``CLOSE_GRACE_S`` to end by itself.

    Raises:
        CoreError: V605, the process was not started by a supervisor.
    """

    spec: dict[str, Any]
    restarts: int
    reason: str

    def __init__(self) -> None:
        self._source = _private_copy(0, os.open(os.devnull, os.O_RDONLY))
        self._sink = _private_copy(1, os.dup(2))
        os.set_blocking(self._sink, False)
        self._lock = threading.Lock()
        self._told_s = -BEAT_S
        self._listener: Callable[[dict[str, Any]], None] | None = None
        self._backlog: deque[dict[str, Any]] = deque(maxlen=BACKLOG)
        self._listener_lock = threading.Lock()
        self.closed = threading.Event()
        self._lines = LineReader()
        first = self._first_message()
        self.spec = first["spec"]
        self.restarts = int(first.get("restarts", 0))
        self.reason = str(first.get("reason", ""))
        die_with_parent(int(first["parent"]))
        threading.Thread(target=self._read, name="supervisor-link", daemon=True).start()

    @property
    def messages(self) -> Callable[[dict[str, Any]], None] | None:
        """Called (from the link's thread) with each message; those that came before it was set come first."""
        return self._listener

    @messages.setter
    def messages(self, listener: Callable[[dict[str, Any]], None]) -> None:
        with self._listener_lock:
            self._listener = listener
            while self._backlog:
                listener(self._backlog.popleft())

    def beat(self, progress: int, **status: Any) -> None:
        """Report life: a counter that moves while work is done, and whatever else the supervisor shows.

        Never waits: where the supervisor does not read, the beat is dropped, and a later one tells more. So is one
        that tells nothing but life, soon after another.
        """
        now_s = time.monotonic()
        if not status and now_s - self._told_s < BEAT_S:
            return
        self._told_s = now_s
        line = encode({"beat": progress, **status})
        if len(line) > ATOMIC_BYTES:
            self._write(line)
            return
        with self._lock:
            if select.select([], [self._sink], [], 0)[1]:
                try:
                    os.write(self._sink, line)
                except BlockingIOError:
                    return
                except OSError:  # the supervisor is gone; the reading thread ends this process
                    return

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; waits until the supervisor has room for it."""
        self._write(encode(message))

    def stalled(self, reason: str) -> None:
        """Ask to be killed and replaced: the work hangs inside a call that cannot be interrupted."""
        self.send({"stalled": reason})

    def _write(self, line: bytes) -> None:
        with self._lock:
            view = memoryview(line)
            while view and not self.closed.is_set():
                select.select([], [self._sink], [], 0.5)
                try:
                    view = view[os.write(self._sink, view) :]
                except BlockingIOError:
                    continue
                except OSError:  # the supervisor is gone; the reading thread ends this process
                    return

    def _first_message(self) -> dict[str, Any]:
        while True:
            chunk = os.read(self._source, 65536)
            messages = list(self._lines.feed(chunk))
            if messages:
                self._backlog.extend(messages[1:])
                if isinstance(messages[0].get("spec"), dict) and "parent" in messages[0]:
                    return messages[0]
            if not chunk or messages:
                raise CoreError(
                    "this process expects its specification as one JSON line on standard input and got none.",
                    hint="It is started by its component's supervisor, not by hand.",
                    code="V605",
                )

    def _read(self) -> None:
        while chunk := _read_chunk(self._source):
            for message in self._lines.feed(chunk):
                with self._listener_lock:
                    if self._listener is None:
                        self._backlog.append(message)
                    else:
                        self._listener(message)
        self.closed.set()
        # A main thread that hangs in native code must not keep the process alive without a supervisor.
        threading.Event().wait(CLOSE_GRACE_S)
        sys.stderr.flush()
        os._exit(0)


def _read_chunk(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def _private_copy(descriptor: int, replacement: int) -> int:
    """Move a standard stream to a descriptor of our own and put ``replacement`` in its place."""
    copy = os.dup(descriptor)  # not inheritable, so no grandchild holds the pipe
    os.dup2(replacement, descriptor)
    os.close(replacement)
    return copy


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end now where that has happened already."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died between starting us and the line above
        os._exit(0)
