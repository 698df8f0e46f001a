"""Tables of the outbox, and how an older file becomes one of this release.

Rows of ``alerts`` live until every channel in ``pending`` is done with them; ``left`` counts those channels. ``seq`` is
the place in the cloud's sequence, 0 where the alert does not go there. Severity is stored by rank. ``reports`` holds
insights, one row for each of their targets.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from vedette.adapters.state.files import sync_directory
from vedette.contracts.alert import Severity
from vedette.contracts.errors import StorageError

T = TypeVar("T")

RANKS: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
SEVERITY_OF_RANK: Final = {rank: severity for severity, rank in RANKS.items()}

_VERSION_1: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE judge (one INTEGER PRIMARY KEY CHECK (one = 1), journal TEXT, cursor INTEGER, state TEXT)",
    "CREATE TABLE alerts (id INTEGER PRIMARY KEY, alert_id TEXT NOT NULL, severity INTEGER NOT NULL,"
    " camera TEXT NOT NULL, created REAL NOT NULL, seq INTEGER NOT NULL, channels TEXT NOT NULL,"
    " left INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX alerts_evictable ON alerts (severity, id) WHERE severity < 2",
    "CREATE INDEX alerts_cloud ON alerts (seq) WHERE seq > 0",
    "CREATE TABLE pending (channel TEXT, id INTEGER, PRIMARY KEY (channel, id)) WITHOUT ROWID",
    "CREATE TABLE seen (id INTEGER PRIMARY KEY, alert_id TEXT NOT NULL UNIQUE)",
    "CREATE TABLE tombstones (from_seq INTEGER PRIMARY KEY, through_seq INTEGER NOT NULL, reason TEXT NOT NULL)",
    "CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, at REAL, channel TEXT, alert_id TEXT, reason TEXT, body BLOB)",
    "CREATE TABLE gaps (id INTEGER PRIMARY KEY, pipeline TEXT, camera TEXT, from_wall REAL, seconds REAL, reason TEXT)",
)

_VERSION_2: Final = (
    "CREATE TABLE reports (id INTEGER PRIMARY KEY, target TEXT NOT NULL, report_id TEXT NOT NULL,"
    " created REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE UNIQUE INDEX reports_target ON reports (target, report_id)",
    "CREATE INDEX reports_size ON reports (size)",
)

#: Step ``n`` takes a file of format ``n`` to ``n + 1``. Format 0 is an empty file.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_VERSION_1, _VERSION_2)


def open_database(path: Path, *, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> sqlite3.Connection:
    """A writing connection; the file is made or brought up to this release's format.

    Raises:
        StorageError: V401, the file was written by a newer release.
        sqlite3.Error: as SQLite found it.
    """
    _make_private(path)
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=8388608")
        _migrate(connection, path, migrations)
    except (sqlite3.Error, StorageError):
        connection.close()
        raise
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """A plain connection to a file that exists, for whichever thread holds it."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(
        uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False, cached_statements=64
    )


def get(connection: sqlite3.Connection, key: str, default: int) -> int:
    """A number of ``meta``."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return default if row is None else int(row[0])


def put(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Set a value of ``meta``."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def add(connection: sqlite3.Connection, key: str, amount: float) -> None:
    """Raise a counter of ``meta``."""
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = value + ?2",
        (key, amount),
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use, as the running transaction sees them."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def in_transaction(connection: sqlite3.Connection, work: Callable[[], T]) -> T:
    """Run ``work`` and commit, or roll back where it fails; what it returned."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = work()
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        raise
    return found


def _migrate(connection: sqlite3.Connection, path: Path, migrations: tuple[tuple[str, ...], ...]) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > len(migrations):
        raise StorageError(
            f"outbox {path} has format {found}; this release reads formats up to {len(migrations)}.",
            hint="Install the release that wrote it, or move the file away to begin a new one.",
            code="V401",
        )
    if found == len(migrations):
        return

    def work() -> None:
        for step in migrations[found:]:
            for statement in step:
                connection.execute(statement)
        if found == 0:
            put(connection, "epoch", secrets.token_hex(8))
        connection.execute(f"PRAGMA user_version={len(migrations)}")

    in_transaction(connection, work)


def _make_private(path: Path) -> None:
    """The file, readable by the components' group only, with its name on disk before anything is in it."""
    if path.exists():
        return
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o660))
    with contextlib.suppress(PermissionError):
        path.chmod(0o660)
    sync_directory(path.parent)
