"""Reading the journal: in order by a cursor, and the newest batches of one camera."""

from __future__ import annotations

import contextlib
import logging
import select
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vedette.adapters.journal import files
from vedette.adapters.journal.bell import listen
from vedette.contracts.errors import StorageError
from vedette.contracts.journal import JournalRow, row_from_json
from vedette.contracts.tracks import TrackBatch

log = logging.getLogger(__name__)

#: `last` looks at no more than this many of the newest rows.
LAST_LIMIT: Final = 50_000
#: Those are looked at first: what is asked for is mostly among the last seconds, and to walk through all takes a while.
NEAR_LIMIT: Final = 2_000
#: Without a doorbell the file is looked at this often.
POLL_S: Final = 0.1


class SqliteJournalReader:
    """Implements ``vedette.ports.journal.JournalReader``. For one thread.

    Args:
        path: ``<state>/journal.db``; it need not exist yet.
        bell: where to listen for writers; made anew. None: the file is looked at every 0.1 s.
        repair: whether to put a damaged file aside. Who only looks on leaves that to those who need the journal.

    Raises:
        StorageError: V401, the path of the bell is too long for a Unix socket or cannot be bound.
    """

    def __init__(self, path: Path, bell: Path | None = None, *, repair: bool = True) -> None:
        self._path = path
        self._repair = repair
        self._name = ""
        self._connection: sqlite3.Connection | None = None
        self._bell = listen(bell) if bell is not None else None
        self._version = 0
        self.unreadable = 0
        self.problem = ""

    def identity(self) -> str:
        """Name of the journal's file, empty where there is none yet.

        Another file counts its numbers anew: a cursor belongs to one identity. ``read`` stays with the file that the
        last call of ``identity`` found.
        """
        name = files.identity(self._path)
        if name != self._name:
            self._disconnect()
            self._name = name
        return name

    def read(self, after: int, limit: int) -> Sequence[tuple[int, JournalRow]]:
        """Up to ``limit`` rows above ``after``. One that cannot be read is left out and counted in ``unreadable``.

        Where the file is damaged a new one is begun and nothing returned; ``problem`` says so.
        """
        statement = "SELECT seq, CAST(body AS BLOB) FROM batches WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = self._query(statement, (after, limit))
        found: list[tuple[int, JournalRow]] = []
        for seq, body in rows:
            try:
                found.append((int(seq), row_from_json(bytes(body))))
            except StorageError as error:
                self.unreadable += 1
                log.error("journal row %d left out: %s", seq, error.message)
        return found

    def position(self, before_wall_s: float) -> int:
        """Sequence number of the newest batch analysed before a time; 0 where there is none. Looks at every row."""
        rows = self._query("SELECT max(seq), x'' FROM batches WHERE at < ?", (before_wall_s,))
        return int(rows[0][0] or 0) if rows else 0

    def newest(self) -> int:
        """Sequence number of the newest row; 0 where there is none."""
        rows = self._query("SELECT max(seq), x'' FROM batches", ())
        return int(rows[0][0] or 0) if rows else 0

    def last(self, pipeline: str, camera: str, since_wall_s: float) -> TrackBatch | None:
        """The newest batch of a pipeline and camera analysed at or after ``since_wall_s``."""
        return next(iter(self.recent(pipeline, camera, since_wall_s, 1)), None)

    def recent(self, pipeline: str, camera: str, since_wall_s: float, limit: int = 256) -> Sequence[TrackBatch]:
        """Up to ``limit`` batches of a pipeline and camera analysed at or after ``since_wall_s``, newest first."""
        rows: list[tuple[int, bytes]] = []
        for depth in (NEAR_LIMIT, LAST_LIMIT):
            rows = self._query(
                "SELECT seq, CAST(body AS BLOB) FROM (SELECT * FROM batches ORDER BY seq DESC LIMIT ?)"
                " WHERE pipeline = ? AND camera = ? AND at >= ? ORDER BY seq DESC LIMIT ?",
                (depth, pipeline, camera, since_wall_s, limit),
            )
            if len(rows) >= limit or self._are_older(depth, since_wall_s):
                break
        found = []
        for _seq, body in rows:
            with contextlib.suppress(StorageError):
                found.append(TrackBatch.from_json(bytes(body)))
        return found

    def fileno(self) -> int:
        """Descriptor that becomes readable when something may have been appended; -1 without a doorbell."""
        return -1 if self._bell is None else self._bell.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something may have been appended; False on time-out."""
        if self._bell is not None:
            readable, _, _ = select.select([self._bell], [], [], max(0.0, timeout_s))
            while readable:
                try:
                    self._bell.recv(16)
                except BlockingIOError:
                    return True
            return False
        deadline_s = time.monotonic() + timeout_s
        while True:
            version = self._data_version()
            if version != self._version:
                self._version = version
                return True
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(POLL_S, left_s))

    def close(self) -> None:
        """Stop listening; idempotent."""
        self._disconnect()
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _are_older(self, depth: int, wall_s: float) -> bool:
        """Whether the rows before so many of the newest were analysed before a time."""
        statement = "SELECT seq, x'' FROM (SELECT seq, at FROM batches ORDER BY seq DESC LIMIT 1 OFFSET ?) WHERE at < ?"
        return bool(self._query(statement, (depth, wall_s)))

    def _query(self, statement: str, values: tuple[object, ...]) -> list[tuple[int, bytes]]:
        if not self._name and not self.identity():
            return []
        try:
            if self._connection is None:
                self._connection = files.connect(self._path, self._name, create=False)
                self._connection.execute("PRAGMA query_only=1")
            rows: list[tuple[int, bytes]] = self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            self._failed(error)
            return []
        self.problem = ""
        return rows

    def _failed(self, error: sqlite3.Error) -> None:
        self.problem = f"journal {self._path} cannot be read ({error})"
        if files.is_damage(error) and not self._repair:
            self._disconnect()
            self._name = ""
        elif files.is_damage(error):
            self._disconnect()
            self.problem = files.put_aside(self._path, self._name, str(error)).message
        else:
            log.warning("%s", self.problem)

    def _data_version(self) -> int:
        if not self._name and not self.identity():
            return 0
        if self._connection is None:
            self._query("SELECT seq, body FROM batches LIMIT 0", ())
        if self._connection is None:
            return 0
        with contextlib.suppress(sqlite3.Error):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        return 0

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
