"""One thread that waits for many descriptors: who becomes readable or writable is told by a callback."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

#: Longest sleep in one go, so that what is looked at now and then (a directory's size) is looked at.
TICK_S: Final = 0.05


class Stopped(BaseException):
    """The reactor's thread is to end; what it was waiting for does not count."""


class HasDescriptor(Protocol):
    """What a selector takes."""

    def fileno(self) -> int:
        """The descriptor."""
        ...


Callback = Callable[[int], None]


class Reactor:
    """Calls back whoever is ready. Everything but ``post`` is for the one thread that calls ``run_once``."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._posted: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._stopping = False

    def watch(self, what: HasDescriptor | int, callback: Callback, events: int = selectors.EVENT_READ) -> None:
        """Call back with the events that occur; again for one that is watched already, with other events."""
        try:
            self._selector.modify(what, events, callback)
        except KeyError:
            self._selector.register(what, events, callback)

    def forget(self, what: HasDescriptor | int) -> None:
        """Watch it no more; of no effect where it was not watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(what)

    def post(self, task: Callable[[], None]) -> bool:
        """Have a task done by the reactor's thread; False where it is closed. From any thread."""
        with self._lock:
            if self._closed:
                return False
            self._posted.append(task)
            with contextlib.suppress(BlockingIOError):  # full: it is going to wake up anyhow
                os.write(self._wake_write, b"!")
            return True

    def stop(self) -> None:
        """Have ``run_once`` raise ``Stopped`` in the reactor's thread, from its next call on. From any thread."""
        self._stopping = True
        self.post(lambda: None)

    def run_once(self, timeout_s: float) -> None:
        """Wait until somebody is ready, at most so long, and call back.

        Raises:
            Stopped: ``stop`` was called.
        """
        for key, events in self._selector.select(max(0.0, timeout_s)):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            elif self._watches(key.fileobj):  # an earlier callback may have forgotten it
                key.data(events)
        while self._posted:
            self._posted.popleft()()
        if self._stopping:
            raise Stopped

    def _watches(self, what: HasDescriptor | int) -> bool:
        try:
            return what in self._selector.get_map()
        except ValueError:  # it was closed, too
            return False

    def run_until(self, condition: Callable[[], bool], deadline_s: float, tick: Callable[[], None]) -> bool:
        """Run until a condition holds; False where the time was over.

        Args:
            condition: looked at after every round.
            deadline_s: monotonic.
            tick: called after every round.
        """
        while not condition():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            self.run_once(min(left_s, TICK_S))
            tick()
        return True

    def close(self) -> None:
        """Let go of everything; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self._wake_write)
        self._selector.close()
        os.close(self._wake_read)
