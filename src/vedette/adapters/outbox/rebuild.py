"""A new outbox out of what could be read of a damaged one."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from vedette.adapters.outbox import entries, reports, salvage, schema
from vedette.adapters.outbox.salvage import Salvage
from vedette.adapters.state.files import sync_directory
from vedette.contracts.errors import StorageError
from vedette.ports.outbox import CLOUD_CHANNEL

T = TypeVar("T")
log = logging.getLogger(__name__)

_MAX_REDELIVERED_CHANNELS = 64


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file's content is not what it should be."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    return (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(error)


def everything(connection: sqlite3.Connection, alive: Callable[[], None]) -> Salvage:
    """All that a connection still reads, for a file whose name was removed."""
    return salvage.read_open(connection, alive)


def from_damaged(
    path: Path, why: str, content: Salvage | None = None, alive: Callable[[], None] = lambda: None
) -> StorageError:
    """Make a new file of what can be read, with a new epoch, and only then put the old one aside.

    An alert whose receivers cannot be told any more goes to all of them again: a repeat has the same ``alert_id``, a
    loss has nothing.

    Args:
        path: nobody has it open.
        why: what was found.
        content: what was in it, where it was read before.
        alive: called for every few hundred rows, and for every few megabytes that are copied.

    Returns:
        The error to report (V403), with counts.

    Raises:
        OSError, sqlite3.Error: there is no room; the old file is as it was.
    """
    new = _new(path)
    try:
        if content is None:
            content = salvage.read(path, alive) if path.exists() else Salvage({}, {}, None, {}, {})
        _write(new, content, alive)
    except (OSError, sqlite3.Error):
        salvage.remove(new)
        raise
    kept = f" It lies in {salvage.put_aside(path).name}." if path.exists() else ""
    salvage.remove(path)  # a log without its file
    _take(new, path)
    return _damaged(
        path,
        f" ({why}); {len(content.alerts)} alerts were read out of it"
        f"{'' if content.judge else ', the position in the journal was not'}.{kept}",
    )


def finish(path: Path) -> StorageError | None:
    """Go on where a process was killed amid ``from_damaged``; the error to report where it had made the new file."""
    salvage.forget_copies(path.parent)
    new = _new(path)
    if path.exists() or not new.exists():
        salvage.remove(new)
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(schema.connect(new)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # not whole, where the old one was removed: what there is
    aside = salvage.put_aside(path)  # its log
    _take(new, path)
    return _damaged(path, f". It lies in {aside.name}.")


def _new(path: Path) -> Path:
    return path.with_name(f"{path.stem}-new{path.suffix}")


def _take(new: Path, path: Path) -> None:
    new.replace(path)
    sync_directory(path.parent)


def _damaged(path: Path, more: str) -> StorageError:
    error = StorageError(f"outbox {path} was damaged{more}", hint="Check the disk.", code="V403")
    log.error("%s", error)
    return error


def _write(new: Path, content: Salvage, alive: Callable[[], None]) -> None:
    salvage.remove(new)
    connection = schema.open_database(new)
    try:
        # It is nobody's outbox yet: what is carried over into the file is flushed, not each commit.
        connection.execute("PRAGMA synchronous=NORMAL")
        _fill(connection, content, alive)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it is in the file that gets the name
    finally:
        connection.close()


def _fill(connection: sqlite3.Connection, content: Salvage, alive: Callable[[], None]) -> None:
    """Put in what was read, in many transactions: the end of a great one takes long, and nobody hears of it."""
    seq = 0
    for row_ids in _parts(sorted(content.alerts)):
        seq = schema.in_transaction(connection, partial(_insert, connection, content, row_ids, seq))
        alive()
    for queued in _parts(content.reports):
        schema.in_transaction(connection, partial(reports.restore, connection, queued))
        alive()
    schema.in_transaction(connection, partial(_finish, connection, content))


def _insert(connection: sqlite3.Connection, content: Salvage, row_ids: Sequence[int], seq: int) -> int:
    """Put in alerts; the cloud's last number then."""
    for row_id in row_ids:
        _id, alert_id, severity, camera, created, _seq, channels_json, left, body = content.alerts[row_id]
        waiting = content.pending.get(row_id, set())
        if len(waiting) < left:  # part of the queues could not be read
            waiting = waiting | set(_channels(channels_json))
        number = 0
        if CLOUD_CHANNEL in waiting:
            seq += 1
            number = seq
        values: tuple[Any, ...] = (
            row_id,
            alert_id,
            severity,
            camera,
            created,
            number,
            channels_json,
            len(waiting),
            body,
        )
        connection.execute("INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        connection.executemany("INSERT INTO pending VALUES (?, ?)", [(name, row_id) for name in sorted(waiting)])
    schema.put(connection, "next_seq", seq + 1)  # with them: ``finish`` may have to take the file before it is whole
    return seq


def _finish(connection: sqlite3.Connection, content: Salvage) -> None:
    seen = sorted({**content.seen, **{row_id: row[1] for row_id, row in content.alerts.items()}}.items())
    # Those before are forgotten with the next commit in any case.
    kept = seen[-entries.SEEN_KEPT :]
    connection.executemany("INSERT OR IGNORE INTO seen (id, alert_id) VALUES (?, ?)", kept)
    if content.judge is not None:
        connection.execute("INSERT INTO judge VALUES (1, ?, ?, ?)", content.judge)
    for key, value in content.counters.items():
        schema.put(connection, key, int(value) if value == int(value) else value)
    schema.add(connection, "salvaged", len(content.alerts))


def _parts(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    return (whole[begin : begin + salvage.STEP] for begin in range(0, len(whole), salvage.STEP))


def _channels(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except ValueError:
        return []
    return [str(name) for name in names][:_MAX_REDELIVERED_CHANNELS] if isinstance(names, list) else []
