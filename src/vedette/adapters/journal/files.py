"""Which file the journal is, and how a damaged one is put aside while other processes have it open.

SQLite deletes a write-ahead log by its path when the last connection closes. A database that was renamed away would
therefore take the log of its successor with it. So nothing is ever renamed: ``journal.db`` is a symbolic link to
``journal-<identity>.db`` (SQLite follows links before it derives names), a new file gets a new identity, the link is
replaced atomically, and the damaged file stays where it is, under its own name.

Source of the fact: https://www.sqlite.org/howtocorrupt.html, section 2, and measured with several processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vedette.contracts.errors import StorageError

log = logging.getLogger(__name__)

#: Numbers skipped at each open of a writer: more than can be committed between two flushes to disk.
SEQUENCE_JUMP: Final = 1 << 20
BUSY_TIMEOUT_S: Final = 10.0
#: The write-ahead log keeps this much on disk when it starts again, so that a full disk does not stop it.
WAL_KEPT_BYTES: Final = 8 << 20

CHECKPOINT_TRIES: Final = 5

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    camera TEXT NOT NULL,
    at REAL NOT NULL,
    body BLOB NOT NULL
)
"""


def identity(path: Path) -> str:
    """Name of the file the journal is now; empty where there is none yet."""
    try:
        target = path.readlink().name
    except OSError:
        return ""
    return target if (path.parent / target).exists() else ""


def ensure(path: Path) -> str:
    """Make the journal where there is none; its identity.

    Raises:
        StorageError: V401, the directory cannot be written to.
    """
    found = identity(path)
    if found:
        return found
    with _locked(path):
        found = identity(path)
        return found or _make(path)


def put_aside(path: Path, damaged: str, why: str) -> StorageError:
    """Begin a new journal because the file ``damaged`` cannot be used; of no effect where that has been done.

    Returns:
        The error to report (V402): what was damaged, where it lies now.
    """
    with _locked(path):
        if identity(path) == damaged:
            _forget_older(path, keep=damaged)
            _make(path)
    error = StorageError(
        f"journal {path.parent / damaged} cannot be used ({why}); it was put aside and a new one begun.",
        hint="Track batches that were not judged yet are lost; alerts are not. Check the disk.",
        code="V402",
    )
    log.error("%s", error)
    return error


def connect(path: Path, name: str, *, create: bool) -> sqlite3.Connection:
    """A connection to the journal file called ``name``; with ``create`` the table is made.

    Raises:
        sqlite3.Error: as SQLite found it.
    """
    uri = f"{(path.parent / name).absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=16
    )
    try:
        if create:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
        connection.execute("PRAGMA cache_size=-1024")
        if create:
            connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def raise_sequence(connection: sqlite3.Connection) -> None:
    """Durably skip numbers, so that one that a power cut took back is never given to another batch."""
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    changed = connection.execute(
        "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'batches'", (SEQUENCE_JUMP,)
    ).rowcount
    if not changed:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('batches', ?)", (SEQUENCE_JUMP,))
    connection.execute("COMMIT")
    connection.execute("PRAGMA synchronous=NORMAL")


def flush(path: Path, name: str, *, carry_over: bool) -> bool:
    """Flush the write-ahead log, holding no lock; with ``carry_over`` move it into the file as far as readers allow.

    Opening and closing the log is safe: SQLite locks the database and the index of the log, never the log itself.

    Returns:
        Whether everything was moved that was asked for. Only then does the log start again at its beginning.

    Raises:
        OSError: the disk failed.
        sqlite3.Error: as SQLite found it.
    """
    try:
        descriptor = os.open(path.parent / f"{name}-wal", os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if not carry_over:
        return True
    with contextlib.closing(connect(path, name, create=False)) as connection:
        for _ in range(CHECKPOINT_TRIES):  # what was committed meanwhile is little, and moved by the next try
            busy, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if not busy and frames == moved:
                return True
    return False


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file's content is not what it should be (as against busy, full, read-only)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    return (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(error)


def _make(path: Path) -> str:
    """A new, empty file of a new identity, and the link to it."""
    name = f"{path.stem}-{secrets.token_hex(8)}{path.suffix}"
    link = path.parent / f".{name}.link"
    try:
        descriptor = os.open(path.parent / name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o660)
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o660)
        os.close(descriptor)
        connect(path, name, create=True).close()
        link.symlink_to(name)
        link.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    return name


def _forget_older(path: Path, *, keep: str) -> None:
    """Remove journals that were put aside earlier: one is enough to find out what happened."""
    for old in path.parent.glob(f"{path.stem}-*{path.suffix}*"):
        if not old.name.startswith(keep):
            with contextlib.suppress(OSError):
                old.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path.parent / f"{path.name}.lock", os.O_CREAT | os.O_RDWR, 0o660)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: Exception) -> StorageError:
    return StorageError(
        f"journal {path}: {getattr(error, 'strerror', None) or error}.",
        hint="The state directory must exist and be writable for the components' group.",
        code="V401",
    )
