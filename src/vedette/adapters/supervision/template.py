"""A process that has imported everything once and is copied for each child: no import, and one memory for all.

Python code and libraries of a camera's process take 30 MB and half a second of processor time; a copy shares the
memory until it writes to it and runs at once. Copies are handed over to the supervisor (they are orphaned on purpose,
and the supervisor takes in orphans), so that the template may end without harm to any of them.

Only a process with a single thread may be copied: locks that other threads hold would stay locked for ever.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import time
from typing import Final

from vedette.adapters.supervision.link import die_with_parent

logger = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
#: Time a template has to import everything; children are started without it then.
READY_S: Final = 10.0
#: Time a copy may take to be made.
COPY_S: Final = 1.0
#: A template that failed is not tried again for so long.
RETRY_S: Final = 30.0
_READY: Final = b"ready"
_PID: Final = struct.Struct("=i")


class Copy:
    """A copy of a template: what of ``subprocess.Popen`` a supervisor needs of its child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its return code, as ``subprocess`` has it; None while it runs."""
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has collected it
                self._code = 0
            else:
                self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float) -> int:
        """Wait for its end.

        Raises:
            TimeoutExpired: of ``subprocess``.
        """
        deadline_s = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline_s:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.001)
        return code

    def kill(self) -> None:
        """End it now."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class Template:
    """The supervisor's end of a template.

    Args:
        argv: its command line; it calls ``become_template``.
        environment: of the template and its copies.
        selector: of the supervisor; woken when the template is ready.
        now_s: monotonic seconds.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, argv: tuple[str, ...], environment: dict[str, str], selector: selectors.BaseSelector, now_s: float
    ) -> None:
        self._selector = selector
        self._started_s = now_s
        self._ready = False
        _adopt_orphans()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                argv,
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                # One thread: a process with more cannot be copied, and nothing here multiplies large matrices.
                env={**environment, "OPENBLAS_NUM_THREADS": "1"},
                process_group=0,
            )
        selector.register(self._socket, selectors.EVENT_READ, self)

    @property
    def pid(self) -> int:
        """Process number."""
        return int(self._process.pid)

    def expected(self, now_s: float) -> bool:
        """Whether it is still importing; children should wait for it."""
        return not self._ready and not self.failed and now_s - self._started_s < READY_S

    @property
    def failed(self) -> bool:
        """Whether there is nothing to be copied any more."""
        return self._socket.fileno() < 0

    def handle(self) -> None:
        """Hear that it is ready, or gone."""
        try:
            self._ready = self._socket.recv(len(_READY)) == _READY
        except OSError:
            self._ready = False
        if not self._ready:
            self.close()

    def copy(self, source: int, sink: int) -> Copy | None:
        """A new process with these descriptors as standard input and output; None where that failed."""
        if not self._ready or self.failed:
            return None
        try:
            socket.send_fds(self._socket, [b"copy"], [source, sink])
            if not select.select([self._socket], [], [], COPY_S)[0]:
                raise TimeoutError("it does not answer")
            (pid,) = _PID.unpack(self._socket.recv(_PID.size))
        except (OSError, struct.error) as error:
            logger.warning("process %d can no longer be copied: %s", self.pid, error)
            self.close()
            return None
        return Copy(pid)

    def close(self) -> None:
        """End it; idempotent. Its copies go on."""
        if self.failed:
            return
        self._selector.unregister(self._socket)
        self._socket.close()
        self._process.kill()
        self._process.wait()


def become_template() -> None:
    """Be copied for as long as the supervisor lives. Returns in each copy; in the template itself it never does.

    To be called in the main thread, with everything imported that copies need.
    """
    die_with_parent(os.getppid())
    link = socket.socket(fileno=os.dup(0))
    gc.collect()
    gc.freeze()  # a collection would write to the memory that is shared
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        logger.error("this process has %d threads and cannot be copied", threads)
        os._exit(1)
    link.send(_READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(link, 16, 2)
        if not message or len(descriptors) != 2:
            os._exit(0)
        pid = _copied()
        if pid == 0:
            link.close()
            for place, descriptor in enumerate(descriptors):
                os.dup2(descriptor, place)
                os.close(descriptor)
            # A group of its own: Ctrl-C in a terminal reaches the supervisor, which ends its children in order.
            os.setpgid(0, 0)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        link.send(_PID.pack(pid))


def _copied() -> int:
    """Copy this process and give the copy away: 0 in the copy, its process number here."""
    read, write = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(read)
        second = os.fork()
        if second:
            os.write(write, _PID.pack(second))
            os._exit(0)
        os.close(write)
        return 0
    os.close(write)
    (pid,) = _PID.unpack(os.read(read, _PID.size))
    os.close(read)
    os.waitpid(first, 0)  # from here on the copy is the supervisor's child
    return int(pid)


def _adopt_orphans() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
