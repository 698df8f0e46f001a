"""Reads what can still be read of a damaged outbox into a new one.

A copy of the damaged file (the outbox has one process, which has closed it) is read range by range: where a range fails
it is halved, so that one bad page costs only its own rows. Alerts below a page that leads to others are then read off
the pages themselves. A destroyed first page, which holds the header and the table of tables, is replaced by that of a
new file: every file of one format is laid out the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from vedette.adapters.outbox import pages, reports, schema

log = logging.getLogger(__name__)

Row = tuple[Any, ...]

SUFFIXES: Final = ("", "-wal", "-shm")
_FOLDER: Final = ".salvage-"
_HEADER: Final = b"SQLite format 3\x00"
#: Bytes copied, and rows read or written, between two signs of life.
COPY_BYTES: Final = 4 << 20
STEP: Final = 256
#: Ranges that may fail before a table is given up, so that a hopeless file costs a second.
MAX_FAILURES: Final = 20_000
#: The same for alerts, which are then looked for page by page.
MAX_ALERT_FAILURES: Final = 200
#: Highest key looked for where the highest there is cannot be read.
MAX_KEY: Final = 1 << 26
#: Of the table ``alerts``.
ALERT_COLUMNS: Final = 9
#: Counters of ``meta`` that are carried over.
COUNTERS: Final = (
    "evicted_info",
    "evicted_warning",
    "dead_letters",
    "salvaged",
    "not_analysed_s",
    "next_id",
    "reports_dropped",
)


class Salvage:
    """What can be read of an outbox, read as it is asked for: there may be more of it than memory.

    Args:
        connection: to it.
        copy: its file, where nobody else has it: rows of alerts are also looked for on the pages themselves.
        alive: called at least once for every ``STEP`` rows.
    """

    def __init__(
        self, connection: sqlite3.Connection, copy: Path | None = None, alive: Callable[[], None] = lambda: None
    ) -> None:
        self._connection = connection
        self._copy = copy
        self._alive = alive
        self._channels = _channels(connection)

    def alerts(self) -> Iterator[Row]:
        """Rows of the table by id, as far as its tree leads; then what else lies on pages, some of it once more."""
        return filter(_plausible, self._alert_rows())

    def pending(self, row_ids: Sequence[int]) -> dict[int, set[str]]:
        """Row id → channels that still wait for it; absent where that could not be read."""
        found: dict[int, set[str]] = {}
        for channel in self._channels:
            todo = [list(row_ids)]
            while todo:
                some = todo.pop()
                marks = ", ".join("?" * len(some))
                try:
                    rows = self._connection.execute(
                        f"SELECT id FROM pending WHERE channel = ? AND id IN ({marks})",  # noqa: S608 - marks only
                        (channel, *some),
                    ).fetchall()
                except sqlite3.Error:
                    middle = len(some) // 2
                    todo += [some[middle:], some[:middle]] if middle else []
                    continue
                for (row_id,) in rows:
                    found.setdefault(int(row_id), set()).add(channel)
        return found

    def seen(self) -> Iterator[tuple[int, str]]:
        """Row id and alert_id of what was had."""
        return ((int(row[0]), str(row[1])) for row in _rows(self._connection, self._alive, "seen", "id, alert_id"))

    def reports(self) -> Iterator[Row]:
        """Rows of the table."""
        return filter(reports.plausible, _rows(self._connection, self._alive, "reports", "*"))

    def judge(self) -> tuple[str, int, str] | None:
        """Journal, cursor and state; None where there is none, or it cannot be read."""
        with contextlib.suppress(sqlite3.Error, TypeError, ValueError):
            row = self._connection.execute("SELECT journal, cursor, state FROM judge").fetchone()
            return None if row is None else (str(row[0]), int(row[1]), str(row[2]))
        return None

    def counters(self) -> dict[str, float]:
        """Those of ``meta`` that are carried over."""
        found: dict[str, float] = {}
        with contextlib.suppress(sqlite3.Error, TypeError, ValueError):
            for key, value in self._connection.execute("SELECT key, value FROM meta").fetchall():
                if key in COUNTERS:
                    found[key] = float(value)
        return found

    def _alert_rows(self) -> Iterator[Row]:
        whole = yield from _rows(self._connection, self._alive, "alerts", "*", most=MAX_ALERT_FAILURES)
        if not whole and self._copy is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            yield from pages.rows(self._copy, ALERT_COLUMNS, self._alive)


def put_aside(path: Path) -> Path:
    """Move the file with its log to ``<stem>-damaged<suffix>``, replacing what was put aside before.

    Where only a log is left, the move of the two was interrupted: it follows.
    """
    target = path.with_name(f"{path.stem}-damaged{path.suffix}")
    if path.exists():
        remove(target)
    for suffix in SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{target}{suffix}")
    return target


def remove(path: Path) -> None:
    """Remove a file with its log, where they are."""
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def forget_copies(folder: Path) -> None:
    """Remove copies that a process has left which was killed while it read one."""
    for left in folder.glob(f"{_FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def read(damaged: Path, alive: Callable[[], None]) -> Iterator[Salvage]:
    """Everything readable. Works on a copy, so that the damaged file stays as it was found."""
    with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=damaged.parent) as folder:
        copy = Path(folder) / "copy.db"
        _copy(damaged, copy, alive)
        if not _first_page_reads(copy):
            _copy(damaged, copy, alive)  # opening it may have touched the log
            _replace_first_page(copy, Path(folder) / "template.db")
        connection = sqlite3.connect(copy, isolation_level=None)
        try:
            yield Salvage(connection, copy, alive)
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


@contextlib.contextmanager
def nothing() -> Iterator[Salvage]:
    """Of a file that is gone."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for step in schema.MIGRATIONS:
            for statement in step:
                connection.execute(statement)
        yield Salvage(connection)


def _copy(source: Path, target: Path, alive: Callable[[], None]) -> None:
    remove(target)
    for suffix in SUFFIXES[:2]:
        if not Path(f"{source}{suffix}").exists():
            continue
        with open(f"{source}{suffix}", "rb") as damaged, open(f"{target}{suffix}", "wb") as copy:
            while part := damaged.read(COPY_BYTES):
                copy.write(part)
                copy.flush()
                if len(part) == COPY_BYTES:  # else a later flush, of whatever file, has to wait for all of it at once
                    os.fdatasync(copy.fileno())
                alive()


def _plausible(row: Row) -> bool:
    kinds = (int, str, int, str, int | float, int, str, int, bytes)  # whole numbers of REAL lie as integers on pages
    if len(row) != ALERT_COLUMNS or not all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
        return False
    return row[0] > 0 and row[2] in schema.SEVERITY_OF_RANK


def _channels(connection: sqlite3.Connection) -> list[str]:
    """Channels in ``pending``, by leaps, because a full scan may meet a bad page."""
    found: list[str] = []
    last = ""
    while True:
        try:
            row = connection.execute("SELECT min(channel) FROM pending WHERE channel > ?", (last,)).fetchone()
        except sqlite3.Error:
            return found
        if row is None or row[0] is None:
            return found
        last = str(row[0])
        found.append(last)


def _rows(
    connection: sqlite3.Connection, alive: Callable[[], None], table: str, columns: str, *, most: int = MAX_FAILURES
) -> Generator[Row, None, bool]:
    """Readable rows of a table by id, a few at a time, by halving the ranges of ids that fail.

    Returns:
        Whether none failed.
    """
    span = _span(connection, table)
    todo = [span] if span else []
    failures = 0
    while todo and failures < most:
        alive()
        low, high = todo.pop()
        # A range is read until a key beyond it is seen: for the last row before a bad page that is one step too far.
        which, ends = ("id = ?", (low,)) if low == high else ("id BETWEEN ? AND ?", (low, high))
        try:
            found = connection.execute(
                f"SELECT {columns} FROM {table} WHERE {which} ORDER BY id LIMIT {STEP}",  # noqa: S608 - names of ours
                ends,
            ).fetchall()
        except sqlite3.Error:
            failures += 1
            if low < high:
                middle = (low + high) // 2
                todo += [(middle + 1, high), (low, middle)]
            continue
        if len(found) == STEP:
            last = max(row[0] for row in found)
            failures += last < low + STEP - 1  # ids that do not rise: the tree leads astray
            if max(low, last) < high:
                todo.append((max(low, last) + 1, high))
        yield from found
    return not failures


def _span(connection: sqlite3.Connection, table: str) -> tuple[int, int] | None:
    """Lowest and highest id; where an end cannot be read, as far as numbers can have come."""
    ends = []
    for which, guess in (("min", 0), ("max", MAX_KEY)):
        try:
            row = connection.execute(f"SELECT {which}(id) FROM {table}").fetchone()  # noqa: S608 - names of ours
        except sqlite3.Error:
            ends.append(guess)
            continue
        if row is None or row[0] is None:
            return None
        ends.append(int(row[0]))
    return ends[0], ends[1]


def _first_page_reads(path: Path) -> bool:
    if path.stat().st_size < len(_HEADER):
        return True  # nothing to repair
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master").fetchall()}
    except sqlite3.Error:
        return False
    return {"alerts", "pending", "judge"} <= names


def _replace_first_page(path: Path, template: Path) -> None:
    schema.open_database(template).close()
    with template.open("rb") as fresh, path.open("r+b") as file:
        page = bytearray(fresh.read(4096))
        size = os.fstat(file.fileno()).st_size
        page[28:32] = (size // 4096).to_bytes(4, "big")  # pages in the file
        page[32:40] = bytes(8)  # no list of free pages: nothing will be written
        page[92:96] = page[24:28]  # the size above is valid for this change counter
        file.seek(0)
        file.write(page)
