"""The journal in SQLite: several processes append, one judges, nobody waits for the disk.

Commits are made with ``synchronous=NORMAL`` (a write, no flush), and a thread of its own flushes the write-ahead log
at least once a second without holding a lock, so a slow disk delays durability and nothing else: kill -9 loses nothing
that was committed, a power cut at most the last second. What was judged is safe in the outbox by then, and because
every opening of a writer skips 2^20 numbers, a number that a power cut took back is never given again.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.adapters.journal import files
from vedette.adapters.journal.bell import Bell
from vedette.adapters.journal.reader import SqliteJournalReader
from vedette.contracts.errors import StorageError
from vedette.contracts.tracks import TrackBatch

log = logging.getLogger(__name__)

__all__ = ["JournalStats", "SqliteJournalReader", "SqliteJournalWriter"]

#: Commits of one writer are at least this far apart, and no batch waits longer for its commit.
GROUP_S: Final = 0.02
#: A power cut takes back at most this much.
FLUSH_S: Final = 1.0
#: Pause before the disk is tried again after it refused.
RETRY_S: Final = 0.5
#: The write-ahead log is carried over into the file after about this much was written, and a commit is taken to
#: write this much besides its rows (whole pages).
CHECKPOINT_BYTES: Final = 4 << 20
COMMIT_BYTES: Final = 12 << 10
#: What may wait in memory while the disk refuses: minutes of a busy site.
MAX_WAITING_BYTES: Final = 16 << 20

_Row = tuple[str, str, float, bytes]


@dataclass(frozen=True, slots=True)
class JournalStats:
    """How a writer fares.

    Attributes:
        committed: batches committed.
        dropped: batches lost because the disk refused for too long.
        waiting: batches in memory now.
        problem: what is wrong with the disk, for people; empty where nothing is.
    """

    committed: int
    dropped: int
    waiting: int
    problem: str


class SqliteJournalWriter:
    """Implements ``vedette.ports.journal.JournalWriter``. ``append`` may be called from any thread.

    Args:
        path: ``<state>/journal.db``; made where it does not exist.
        bell: datagram socket of a reader, rung after each commit together with those beside it; None where nobody
            listens.
        max_waiting_bytes: what may wait in memory while the disk refuses.

    Raises:
        StorageError: V401, the directory cannot be used.
    """

    def __init__(self, path: Path, bell: Path | None = None, *, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._path = path
        self._bell = Bell(bell) if bell is not None else None
        self._max_waiting_bytes = max_waiting_bytes
        self._changed = threading.Condition()
        self._waiting: deque[_Row] = deque()
        self._waiting_bytes = 0
        self._committed = self._dropped = 0
        self._log_bytes = 0
        self._problem = ""
        self._closing = threading.Event()
        self._dirty = threading.Event()
        self._name = files.ensure(path)
        self._connection: sqlite3.Connection | None = None
        with contextlib.suppress(sqlite3.Error):  # the commit thread finds out again, and reports
            self._connection = self._open()
        self._committer = threading.Thread(target=self._commit_loop, name="journal-commit", daemon=True)
        self._flusher = threading.Thread(target=self._flush_loop, name="journal-flush", daemon=True)
        self._committer.start()
        self._flusher.start()

    def append(self, batch: TrackBatch) -> None:
        """Hand one batch over; committed within 20 ms where the disk follows.

        Raises:
            ValueError: the batch holds values JSON has none for, such as NaN.
        """
        row = (batch.pipeline, batch.frame.camera, batch.analysed_wall_s, batch.to_json())
        with self._changed:
            self._waiting.append(row)
            self._waiting_bytes += len(row[3])
            while self._waiting_bytes > self._max_waiting_bytes and len(self._waiting) > 1:
                self._waiting_bytes -= len(self._waiting.popleft()[3])
                self._dropped += 1
            self._changed.notify()

    def stats(self) -> JournalStats:
        """Counters since the writer was made."""
        with self._changed:
            return JournalStats(self._committed, self._dropped, len(self._waiting), self._problem)

    def close(self) -> None:
        """Commit and flush what is waiting; idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._committer.join(files.BUSY_TIMEOUT_S)
        self._dirty.set()
        self._flusher.join(files.BUSY_TIMEOUT_S)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._bell is not None:
            self._bell.close()

    # -- the commit thread ----------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        connection = files.connect(self._path, self._name, create=True)
        try:
            files.raise_sequence(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _commit_loop(self) -> None:
        last_s = -GROUP_S
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                if not self._waiting:
                    return
            pause_s = last_s + GROUP_S - time.monotonic()
            if pause_s > 0:
                self._closing.wait(pause_s)
            last_s = time.monotonic()
            if not self._commit():
                if self._closing.is_set():
                    return
                self._closing.wait(RETRY_S)

    def _commit(self) -> bool:
        """Commit everything that waits; False where the disk refused and nothing was taken away."""
        with self._changed:
            rows = list(self._waiting)
            dropped = self._dropped
        try:
            self._follow_link()
            if self._connection is None:
                self._connection = self._open()
            insert(self._connection, rows)
        except (sqlite3.Error, StorageError) as error:
            self._not_taken(error)
            return False
        with self._changed:
            gone = self._dropped - dropped  # by an append that came meanwhile; those were committed after all
            for _ in range(len(rows) - gone):
                self._waiting_bytes -= len(self._waiting.popleft()[3])
            self._dropped -= gone
            self._committed += len(rows)
            self._log_bytes += COMMIT_BYTES + sum(len(row[3]) for row in rows)
        self._say("")
        self._dirty.set()
        if self._bell is not None:
            self._bell.ring()
        return True

    def _follow_link(self) -> None:
        """Another process may have put the file aside, or a person may have removed it."""
        name = files.identity(self._path)
        if name != self._name:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._name = name or files.ensure(self._path)

    def _not_taken(self, error: sqlite3.Error | StorageError) -> None:
        """The rows wait; where the file is damaged another is begun, for which there may be no room either."""
        try:
            if isinstance(error, sqlite3.Error):
                self._refused(error)
                return
        except StorageError as worse:
            error = worse
        self._say(error.message)

    def _refused(self, error: sqlite3.Error) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
        if files.is_damage(error):
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            files.put_aside(self._path, self._name, str(error))
            self._name = files.ensure(self._path)
        else:
            self._say(f"journal {self._path} cannot be written to ({error}); batches wait in memory")

    def _say(self, problem: str) -> None:
        with self._changed:
            changed, self._problem = self._problem != problem, problem
        if changed and problem:
            log.error("%s", problem)
        elif changed:
            log.info("journal %s can be written to again", self._path)

    # -- the flush thread -----------------------------------------------------------------------------------------

    def _flush_loop(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            self._flush()
            self._closing.wait(FLUSH_S)
        self._flush()

    def _flush(self) -> None:
        with self._changed:
            carry_over = self._log_bytes > CHECKPOINT_BYTES
        try:
            if files.flush(self._path, self._name, carry_over=carry_over) and carry_over:
                with self._changed:
                    self._log_bytes = 0
        except (OSError, sqlite3.Error) as error:
            log.error("journal %s cannot be flushed to disk (%s)", self._path, error)


def insert(connection: sqlite3.Connection, rows: Sequence[_Row]) -> None:
    """Append rows in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO batches (pipeline, camera, at, body) VALUES (?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
