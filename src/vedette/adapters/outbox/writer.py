"""Group commit: everything that came while one commit was being flushed goes into the next one."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class GroupWriter:
    """The only thread that writes. Work of several callers shares one transaction and one flush.

    Args:
        connection: handed over; closed by ``close``.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._waiting: list[tuple[Work[Any], Future[Any]]] = []
        self._closing = False
        self.commits = 0
        self._thread = threading.Thread(target=self._loop, name="outbox-writer", daemon=True)
        self._thread.start()

    def run(self, work: Work[T]) -> T:
        """Do ``work`` in a transaction and wait until it is on disk.

        Raises:
            sqlite3.Error: nothing of it was written.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._closing:
                raise sqlite3.ProgrammingError("the outbox is closed")
            self._waiting.append((work, future))
            self._changed.notify()
        return future.result()

    def close(self) -> None:
        """Finish what is waiting and close the connection; idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._connection.close()

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                group, self._waiting = self._waiting, []
            if not group:
                return
            if not self._commit(group) and len(group) > 1:
                for one in group:  # whoever is at fault must not fail the others
                    self._commit([one], last=True)

    def _commit(self, group: list[tuple[Work[Any], Future[Any]]], *, last: bool = False) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [work(self._connection) for work, _future in group]
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the work
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            if last or len(group) == 1:
                group[0][1].set_exception(error)
            return False
        self.commits += 1
        for (_work, future), result in zip(group, results, strict=True):
            future.set_result(result)
        return True
