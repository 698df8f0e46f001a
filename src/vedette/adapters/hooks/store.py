"""A hook's position in SQLite: write-ahead log, flushed at every commit, one file per hook."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from vedette.adapters.journal.files import is_damage
from vedette.adapters.state.layout import DIRECTORY_MODE
from vedette.contracts.errors import HookError, StorageError
from vedette.contracts.hook_event import HookEvent
from vedette.ports.hooks import HookPosition
from vedette.ports.outbox import Origin

log = logging.getLogger(__name__)

FORMAT: Final = 1
_BUSY_TIMEOUT_S: Final = 10.0
_SCHEMA: Final = (
    "CREATE TABLE position (id INTEGER PRIMARY KEY CHECK (id = 1), journal TEXT NOT NULL, cursor INTEGER NOT NULL,"
    " state TEXT NOT NULL, buckets TEXT NOT NULL, suppressed INTEGER NOT NULL, skipped INTEGER NOT NULL)",
    "CREATE TABLE waiting (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)",
    "CREATE TABLE attempts (id INTEGER PRIMARY KEY CHECK (id = 1), journal TEXT NOT NULL, seq INTEGER NOT NULL,"
    " count INTEGER NOT NULL)",
)

T = TypeVar("T")


class SqliteHookStore:
    """Implements ``vedette.ports.hooks.HookStore``.

    Args:
        path: ``<state>/hooks/<application>/<hook>.db``; made where it does not exist.

    Raises:
        StorageError: V401, the directory cannot be used, or another process has the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._appended: set[int] = set()
        self.damage: HookError | None = None
        self._lock = _locked(path)
        try:
            fresh = not path.exists()
            self._connection = self._opened()
        except BaseException:
            os.close(self._lock)
            raise
        self._origin = Origin.LOST if self.damage else Origin.FRESH if fresh else Origin.RESUMED

    @property
    def origin(self) -> Origin:
        """Where the position comes from."""
        return self._origin

    def load(self) -> HookPosition:
        """The position that was committed last."""
        row = self._do(
            lambda c: c.execute("SELECT journal, cursor, state, buckets, suppressed, skipped FROM position").fetchone()
        )
        if row is None:
            return HookPosition()
        with contextlib.suppress(ValueError):
            return HookPosition(row[0], int(row[1]), str(row[2]), tuple(json.loads(row[3])), int(row[4]), int(row[5]))
        return HookPosition(row[0], int(row[1]), str(row[2]))

    def commit(self, position: HookPosition, events: Sequence[HookEvent] = ()) -> None:
        """One transaction: the position, and events to append. On disk when it returns.

        Raises:
            StorageError: V404 or V401, the disk refuses; nothing is changed.
        """
        values = (
            position.journal, position.cursor, position.state, json.dumps(position.buckets), position.suppressed,
            position.skipped,
        )  # fmt: skip
        rows = [(event.to_json(),) for event in events]
        done = [(number,) for number in self._appended]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO position VALUES (1, ?, ?, ?, ?, ?, ?)", values)
            connection.executemany("DELETE FROM waiting WHERE id = ?", done)
            connection.executemany("INSERT INTO waiting (body) VALUES (?)", rows)

        self._change(work)
        self._appended.clear()

    def waiting(self) -> Sequence[tuple[int, HookEvent]]:
        """Events that may not be in the journal yet. One that cannot be read is left out."""
        found = []
        for number, body in self._do(lambda c: c.execute("SELECT id, body FROM waiting ORDER BY id").fetchall()):
            if number in self._appended:
                continue
            try:
                found.append((int(number), HookEvent.from_json(bytes(body))))
            except StorageError as error:
                log.error("%s: an event is left out: %s", self._path.name, error.message)
                self._appended.add(int(number))
        return found

    def appended(self, numbers: Sequence[int]) -> None:
        """These are in the journal; they are forgotten with the next commit."""
        self._appended.update(numbers)

    def attempts(self, journal: str, seq: int) -> int:
        """How often handling this row has failed in a row."""
        row = self._do(lambda c: c.execute("SELECT journal, seq, count FROM attempts").fetchone())
        return int(row[2]) if row is not None and (row[0], row[1]) == (journal, seq) else 0

    def note_attempt(self, journal: str, seq: int) -> int:
        """Count one more failure of this row; how many there are now."""
        count = self.attempts(journal, seq) + 1
        self._change(lambda c: c.execute("INSERT OR REPLACE INTO attempts VALUES (1, ?, ?, ?)", (journal, seq, count)))
        return count

    def close(self) -> None:
        """Let go of the file; idempotent."""
        if self._lock >= 0:
            self._connection.close()
            os.close(self._lock)
            self._lock = -1

    # -- inside -----------------------------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        try:
            return _open(self._path)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise self._refused(error) from error
            self._put_aside(error)
            return _open(self._path)

    def _put_aside(self, error: sqlite3.Error) -> None:
        """Begin a new file; nobody else has it open for writing, so the old one may be renamed."""
        aside = self._path.with_name(f"{self._path.stem}-damaged.db")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._path.replace(aside)
        self._appended.clear()
        self._origin = Origin.LOST
        self.damage = HookError(
            f"state of hook {self._path.parent.name}/{self._path.stem} was damaged ({error}); it is kept as "
            f"{aside.name}, and the hook begins anew.",
            hint="Look after the disk. What happened in the last minutes may be reported again.",
            code="V807",
        )
        log.error("%s", self.damage)

    def _change(self, work: Callable[[sqlite3.Connection], object]) -> None:
        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.rollback()
                raise

        self._do(transaction)

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise self._refused(error) from error
            self._connection.close()
            self._put_aside(error)
            self._connection = _open(self._path)
            return work(self._connection)

    def _refused(self, error: sqlite3.Error) -> StorageError:
        full = "full" in str(error)
        return StorageError(
            f"state of hook {self._path.parent.name}/{self._path.stem} cannot be written ({error}).",
            hint="Free some space on this disk." if full else "Check the owner and mode of the state directory.",
            code="V404" if full else "V401",
        )


def read_cursor(path: Path) -> tuple[str, int] | None:
    """The journal and the number up to which a hook has read it; None where there is no such file yet, or no answer."""
    if not path.exists():
        return None
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only=1")
            row = connection.execute("SELECT journal, cursor FROM position").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else (str(row[0]), int(row[1]))


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o660))
        with contextlib.suppress(PermissionError):
            path.chmod(0o660)  # whatever the umask: Alerting reads the position
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=1048576")
        connection.execute("PRAGMA cache_size=-256")
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found > FORMAT:
            raise StorageError(
                f"{path} has format {found}; this release reads format {FORMAT}.",
                hint="Install the release that wrote it, or move the file away to begin a new one.",
            )
        if found == 0:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.execute("COMMIT")
        connection.execute("SELECT count(*) FROM position").fetchone()
    except (sqlite3.Error, StorageError):
        connection.close()
        raise
    return connection


def _locked(path: Path) -> int:
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.chmod(DIRECTORY_MODE)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as error:
        raise StorageError(f"{path} cannot be used: {error.strerror}.", hint="Check the state directory.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        busy = error.errno in (errno.EAGAIN, errno.EACCES)
        raise StorageError(
            f"{path} is {'in use by another process' if busy else 'not usable'}: {error.strerror}.",
            hint="Another vedette.AppHost runs with the same state directory; stop one of them.",
        ) from error
    return descriptor
