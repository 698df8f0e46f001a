"""One running child process, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, Protocol

from vedette.adapters.starved import waited_s, waits_s
from vedette.adapters.supervision.lines import LineReader, encode
from vedette.adapters.supervision.template import Template

logger = logging.getLogger(__name__)

#: Bytes waiting to be read by a child before it counts as hung.
OUTBOX_LIMIT_BYTES: Final = 4 << 20
#: Time a killed process may take to disappear before the supervisor gives up waiting.
KILL_WAIT_S: Final = 2.0
#: From this share of a limit on it counts whether a silent child is given a processor.
LOOK_SHARE: Final = 0.6


class Process(Protocol):
    """What of ``subprocess.Popen`` is needed of a child."""

    pid: int

    def poll(self) -> int | None:
        """Its return code; None while it runs."""
        ...

    def wait(self, timeout: float) -> int:
        """Its return code; raises ``subprocess.TimeoutExpired``."""
        ...

    def kill(self) -> None:
        """End it now."""
        ...


#: A process, what leads to its standard input, what comes from its standard output.
Started = tuple[Process, IO[bytes], IO[bytes]]


def start_program(argv: tuple[str, ...], environment: dict[str, str]) -> Started:
    """A new process.

    Raises:
        OSError: no memory, no process slot, no program.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env=environment,
        # A group of its own: Ctrl-C in a terminal reaches the supervisor, which ends its children in order.
        process_group=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process, process.stdin, process.stdout


def start_copy(template: Template) -> Started | None:
    """A copy of a template; None where it can no longer be copied.

    Raises:
        OSError: no descriptors left.
    """
    source, to = os.pipe()
    try:
        out, sink = os.pipe()
    except OSError:
        os.close(source)
        os.close(to)
        raise
    copy = template.copy(source, sink)
    os.close(source)
    os.close(sink)
    if copy is None:
        os.close(to)
        os.close(out)
        return None
    return copy, open(to, "wb", buffering=0), open(out, "rb", buffering=0)


class Child:
    """A process, its two pipes, and its descriptor (pidfd) in the supervisor's selector.

    Attributes:
        last_heard_s: monotonic time of its last message, or of its start.
        heard: whether it ever sent a message.
        leave_by_s: when it is killed, after having been asked to end.
        waits: when it was last heard, and how long its threads had waited for a processor some time after that.

    Raises:
        OSError: no memory, no process slot, no descriptors left; no process is left either.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Started],
        first: dict[str, Any],
        now_s: float,
        selector: selectors.BaseSelector,
    ) -> None:
        self.name = name
        self.started_s = self.last_heard_s = now_s
        self.heard = False
        self.leave_by_s = float("inf")
        self.waits: tuple[float, dict[int, float]] | None = None
        self._killed_for = ""
        self._selector = selector
        self._process, to, out = start()
        self._to: IO[bytes] | None = to
        self._from: IO[bytes] | None = out
        os.set_blocking(to.fileno(), False)
        os.set_blocking(out.fileno(), False)
        self._outbox = bytearray()
        self._writing = False
        self._lines = LineReader()
        self._refused = 0
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:  # nobody would see its end
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_WAIT_S)
            to.close()
            out.close()
            raise
        selector.register(self._from, selectors.EVENT_READ, self)
        selector.register(self._pidfd, selectors.EVENT_READ, self)
        self.send(first)

    @property
    def pid(self) -> int:
        """Process number."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> bool:
        """Queue a message; False where the child has not read for so long that there is no room."""
        if self._to is None:
            return True
        self._outbox += encode(message)
        self._flush()
        return len(self._outbox) <= OUTBOX_LIMIT_BYTES

    def handle(self, descriptor: int) -> Iterator[dict[str, Any]]:
        """React to a ready descriptor; the messages that arrived."""
        if self._from is not None and descriptor == self._from.fileno():
            yield from self._receive()
        elif self._to is not None and descriptor == self._to.fileno():
            self._flush()
        elif descriptor == self._pidfd:  # it ended; its last messages may still be in the pipe
            yield from self._receive()
            self._forget(self._pidfd)

    def silent_s(self, now_s: float, limit_s: float) -> float:
        """How long nothing was heard, without the time for which it got no processor.

        Args:
            now_s: monotonic time.
            limit_s: how long it may be silent.
        """
        silent_s = now_s - self.last_heard_s
        if silent_s < LOOK_SHARE * limit_s:
            return silent_s
        if self.waits is None or self.waits[0] != self.last_heard_s:
            self.waits = (self.last_heard_s, waits_s(self.pid))
            return min(silent_s, limit_s)
        return silent_s - waited_s(self.pid, self.waits[1])

    def due_s(self, limit_s: float) -> float:
        """When to ask for ``silent_s`` next, where nothing is heard until then, monotonic seconds."""
        looked = self.waits is not None and self.waits[0] == self.last_heard_s
        return self.last_heard_s + (limit_s if looked else LOOK_SHARE * limit_s)

    def ended(self) -> bool:
        """Whether the process is gone (its zombie is collected by this call)."""
        return self._process.poll() is not None

    def ask_to_end(self, leave_by_s: float) -> None:
        """Close its standard input, which tells it to end by itself."""
        self.leave_by_s = leave_by_s
        self._close_input()

    def kill(self, reason: str) -> None:
        """End it now; the first reason given is the one that is reported."""
        if not self._killed_for and not self.ended():
            self._killed_for = reason
            self._process.kill()

    def reap(self) -> str:
        """Close everything that belongs to it; why it ended, for people."""
        try:
            code = self._process.wait(KILL_WAIT_S)
        except subprocess.TimeoutExpired:
            code = -int(signal.SIGKILL)
            logger.error("child %s (process %d) does not disappear after being killed", self.name, self.pid)
        self._close_input()
        if self._from is not None:
            self._forget(self._from)
            self._from.close()
            self._from = None
        self._forget(self._pidfd)
        os.close(self._pidfd)
        return self._killed_for or describe_exit(code)

    def _receive(self) -> Iterator[dict[str, Any]]:
        if self._from is None:
            return
        while True:
            try:
                chunk = os.read(self._from.fileno(), 65536)
            except BlockingIOError:
                return
            if not chunk:
                self._forget(self._from)
                return
            yield from self._lines.feed(chunk)
            if self._lines.refused > self._refused:
                self._refused = self._lines.refused
                logger.warning("child %s sent %d lines that are no JSON objects", self.name, self._refused)
            if len(chunk) < 65536:
                return

    def _flush(self) -> None:
        if self._to is None:
            return
        try:
            while self._outbox:
                del self._outbox[: os.write(self._to.fileno(), self._outbox)]
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._selector.register(self._to, selectors.EVENT_WRITE, self)
            return
        except BrokenPipeError:
            self._outbox.clear()
        if self._writing:
            self._writing = False
            self._forget(self._to)

    def _close_input(self) -> None:
        if self._to is not None:
            if self._writing:
                self._forget(self._to)
            self._to.close()
            self._to = None

    def _forget(self, descriptor: IO[bytes] | int) -> None:
        try:
            self._selector.unregister(descriptor)
        except (KeyError, ValueError):
            return


def describe_exit(code: int) -> str:
    """A process' return code in words (negative: the signal that ended it, as ``subprocess`` has it)."""
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was ended by {name}"
