"""Reports of insights between judging and the cloud or a file: a bounded queue beside the alerts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from vedette.adapters.outbox import schema
from vedette.ports.outbox import OutgoingReport, QueuedReport

#: Reports older than this are given up: nobody plans today's shifts by last week's minutes, seconds.
MAX_AGE_S: Final = 7 * 86_400.0
#: Bytes of reports kept, at most, and at most this part of the outbox's quota.
MAX_BYTES: Final = 32 << 20
QUOTA_PART: Final = 4
#: Reports given up at a time.
STEP: Final = 64
_COLUMNS: Final = "target, report_id, created, size, body"


def insert(connection: sqlite3.Connection, reports: Iterable[OutgoingReport], now_wall_s: float) -> None:
    """Store reports, one row for each target; one that waits already is left alone."""
    connection.executemany(
        f"INSERT OR IGNORE INTO reports ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608 - names of ours
        [
            (target, report.report_id, now_wall_s, len(report.body), report.body)
            for report in reports
            for target in report.targets
        ],
    )


def keep_bounds(connection: sqlite3.Connection, now_wall_s: float, max_bytes: int) -> None:
    """Give up the oldest beyond age and size; how many is counted."""
    gone = connection.execute("DELETE FROM reports WHERE created < ?", (now_wall_s - MAX_AGE_S,)).rowcount
    if gone:
        schema.add(connection, "reports_dropped", gone)
    limit = min(MAX_BYTES, max_bytes // QUOTA_PART)
    while (connection.execute("SELECT sum(size) FROM reports").fetchone()[0] or 0) > limit:
        give_up(connection)


def give_up(connection: sqlite3.Connection) -> int:
    """Drop some of the oldest, to make room for others or for alerts. How many; 0 where there is none."""
    gone = connection.execute(
        "DELETE FROM reports WHERE id IN (SELECT id FROM reports ORDER BY id LIMIT ?)", (STEP,)
    ).rowcount
    if gone:
        schema.add(connection, "reports_dropped", gone)
    return gone


def sent(connection: sqlite3.Connection, done: Iterable[tuple[str, str]]) -> None:
    """Targets have these: forget them."""
    connection.executemany("DELETE FROM reports WHERE target = ? AND report_id = ?", sorted(done))


def take(connection: sqlite3.Connection, target: str, limit: int) -> list[QueuedReport]:
    """Reports that wait for a target, oldest first."""
    found = connection.execute(
        "SELECT report_id, body FROM reports WHERE target = ? ORDER BY id LIMIT ?", (target, limit)
    ).fetchall()
    return [QueuedReport(target, str(report_id), bytes(body)) for report_id, body in found]


def targets(connection: sqlite3.Connection) -> list[str]:
    """Whoever reports wait for."""
    return [str(row[0]) for row in connection.execute("SELECT DISTINCT target FROM reports ORDER BY target")]


def count(connection: sqlite3.Connection) -> int:
    """Reports that wait."""
    return int(connection.execute("SELECT count(*) FROM reports").fetchone()[0])


def plausible(row: tuple[Any, ...]) -> bool:
    """Whether something read out of a damaged file is a report."""
    kinds = (int, str, str, float, int, bytes)
    return len(row) == len(kinds) and all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))


def restore(connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put what was read out of a damaged file into a new one."""
    connection.executemany(
        f"INSERT OR IGNORE INTO reports (id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - names of ours
        [row for row in rows if row[4] == len(row[5])],
    )
