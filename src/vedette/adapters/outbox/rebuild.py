"""A new outbox out of what could be read of a damaged one."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from heapq import nlargest
from itertools import islice
from pathlib import Path
from typing import TypeVar

from vedette.adapters.outbox import entries, reports, salvage, schema
from vedette.adapters.outbox.salvage import Row, Salvage
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


def from_damaged(
    path: Path, why: str, reader: sqlite3.Connection | None = None, alive: Callable[[], None] = lambda: None
) -> StorageError:
    """Make a new file of what can be read, with a new epoch, and only then put the old one aside.

    An alert whose receivers cannot be told any more goes to all of them again: a repeat has the same ``alert_id``, a
    loss has nothing.

    Args:
        path: nobody has it open.
        why: what was found.
        reader: what still reads a file whose name was removed.
        alive: called for every few hundred rows, and for every few megabytes copied.

    Returns:
        The error to report (V403), with counts.

    Raises:
        OSError, sqlite3.Error: there is no room; the old file is as it was.
    """
    new = _new(path)
    try:
        with _readable(path, reader, alive) as content:
            number, placed = _write(new, content, alive)
    except (OSError, sqlite3.Error):
        salvage.remove(new)
        raise
    kept = f" It lies in {salvage.put_aside(path).name}." if path.exists() else ""
    salvage.remove(path)  # a log without its file
    _take(new, path)
    unplaced = "" if placed else ", the position in the journal was not"
    return _damaged(path, f" ({why}); {number} alerts were read out of it{unplaced}.{kept}")


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


def _readable(
    path: Path, reader: sqlite3.Connection | None, alive: Callable[[], None]
) -> AbstractContextManager[Salvage]:
    if reader is not None:
        return contextlib.nullcontext(Salvage(reader, alive=alive))
    return salvage.read(path, alive) if path.exists() else salvage.nothing()


def _write(new: Path, content: Salvage, alive: Callable[[], None]) -> tuple[int, bool]:
    salvage.remove(new)
    connection = schema.open_database(new)
    try:
        # It is nobody's outbox yet: what is carried over into the file is flushed, not each commit.
        connection.execute("PRAGMA synchronous=NORMAL")
        filled = _fill(connection, content, alive)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it is in the file that gets the name
    finally:
        connection.close()
    return filled


def _fill(connection: sqlite3.Connection, content: Salvage, alive: Callable[[], None]) -> tuple[int, bool]:
    """Put in what can be read; how many alerts that were, and whether the position in the journal was among it.

    In many transactions: one for all would take memory or a log for all, and its end would take long.
    """
    number = seq = newest = 0
    rising = True
    for rows in _some(content.alerts()):
        pending = content.pending([row[0] for row in rows])
        seq, row_ids = schema.in_transaction(connection, partial(_insert, connection, rows, pending, seq))
        for row_id in row_ids:
            rising &= row_id > newest
            newest = max(newest, row_id)
        number += len(row_ids)
        alive()
    if not rising:
        _number_anew(connection, alive)
    for queued in _some(content.reports()):
        schema.in_transaction(connection, partial(reports.restore, connection, queued))
        alive()
    # Those before are forgotten with the next commit in any case.
    seen = sorted(nlargest(entries.SEEN_KEPT, content.seen()))
    judge = content.judge()

    def finish() -> None:
        connection.execute(
            "INSERT OR IGNORE INTO seen (id, alert_id) SELECT id, alert_id FROM alerts ORDER BY id DESC LIMIT ?",
            (entries.SEEN_KEPT,),
        )
        connection.executemany("INSERT OR IGNORE INTO seen (id, alert_id) VALUES (?, ?)", seen)
        if judge is not None:
            connection.execute("INSERT INTO judge VALUES (1, ?, ?, ?)", judge)
        for key, value in content.counters().items():
            schema.put(connection, key, int(value) if value == int(value) else value)
        schema.add(connection, "salvaged", number)

    schema.in_transaction(connection, finish)
    return number, judge is not None


def _insert(
    connection: sqlite3.Connection, rows: Sequence[Row], pending: Mapping[int, set[str]], seq: int
) -> tuple[int, list[int]]:
    """Put in alerts, except those that are there; the cloud's last number then, and the ids of those that were not."""
    row_ids: list[int] = []
    for row_id, alert_id, severity, camera, created, _seq, channels_json, left, body in rows:
        waiting = pending.get(row_id, set())
        if len(waiting) < left:  # part of the queues could not be read
            waiting = waiting | set(_channels(channels_json))
        number = seq + 1 if CLOUD_CHANNEL in waiting else 0
        values = (row_id, alert_id, severity, camera, created, number, channels_json, len(waiting), body)
        if connection.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values).rowcount:
            connection.executemany("INSERT INTO pending VALUES (?, ?)", [(name, row_id) for name in sorted(waiting)])
            row_ids.append(row_id)
            seq = number or seq
    schema.put(connection, "next_seq", seq + 1)  # with them: ``finish`` may have to take the file before it is whole
    return seq, row_ids


def _number_anew(connection: sqlite3.Connection, alive: Callable[[], None]) -> None:
    """Numbers of the cloud rise with the ids again: what was found on pages came after the rest."""
    seq = after = 0
    while rows := connection.execute(
        "SELECT id, seq > 0 FROM alerts WHERE id > ? ORDER BY id LIMIT ?", (after, salvage.STEP)
    ).fetchall():
        numbers = [(seq + place, row_id) for place, row_id in enumerate((row[0] for row in rows if row[1]), 1)]
        schema.in_transaction(
            connection, partial(connection.executemany, "UPDATE alerts SET seq = ? WHERE id = ?", numbers)
        )
        seq, after = seq + len(numbers), int(rows[-1][0])
        alive()


def _some(rows: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(rows, salvage.STEP)):
        yield some


def _channels(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except ValueError:
        return []
    return [str(name) for name in names][:_MAX_REDELIVERED_CHANNELS] if isinstance(names, list) else []
