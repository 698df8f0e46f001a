"""What is asked of the outbox's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vedette.adapters.outbox import reports, schema
from vedette.contracts.alert import CloudTombstone
from vedette.ports.outbox import CLOUD_CHANNEL, OutboxRow


@dataclass(frozen=True, slots=True)
class Numbers:
    """For the health report: ``meta``, the age of each queue's oldest row, reports that wait, and the size."""

    meta: Mapping[str, float]
    oldest_wall_s: Mapping[str, float]
    reports: int
    used_bytes: int


def epoch(connection: sqlite3.Connection) -> str:
    """The file's own."""
    return str(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])


def rows(connection: sqlite3.Connection, channel: str, after: int, through: int, limit: int) -> list[OutboxRow]:
    """Undelivered rows of one channel, oldest first."""
    cloud = channel == CLOUD_CHANNEL
    name = epoch(connection) if cloud else ""
    found = connection.execute(
        "SELECT p.id, a.alert_id, a.camera, a.body, a.seq, a.created FROM pending p JOIN alerts a ON a.id = p.id"
        " WHERE p.channel = ? AND p.id > ? AND p.id <= ? ORDER BY p.id LIMIT ?",
        (channel, after, through, limit),
    ).fetchall()
    return [
        OutboxRow(row[0], channel, row[1], row[2], bytes(row[3]), name, row[4] if cloud else 0, row[5]) for row in found
    ]


def count(connection: sqlite3.Connection, channel: str, after: int, limit: int) -> int:
    """Undelivered rows above ``after``, counting no further than ``limit``."""
    row = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM pending WHERE channel = ? AND id > ? LIMIT ?)", (channel, after, limit)
    ).fetchone()
    return int(row[0])


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Undelivered rows of every channel."""
    found = connection.execute("SELECT channel, count(*) FROM pending GROUP BY channel").fetchall()
    return {str(channel): int(number) for channel, number in found}


def newest(connection: sqlite3.Connection, channel: str) -> int:
    """Highest undelivered row of a channel; 0 where there is none."""
    return int(connection.execute("SELECT max(id) FROM pending WHERE channel = ?", (channel,)).fetchone()[0] or 0)


def next_id(connection: sqlite3.Connection) -> int:
    """A row number that was never given."""
    statements = ("SELECT max(id) + 1 FROM alerts", "SELECT max(id) + 1 FROM seen")
    found = [int(connection.execute(statement).fetchone()[0] or 1) for statement in statements]
    return max(schema.get(connection, "next_id", 1), *found)


def had(connection: sqlite3.Connection, alert_id: str) -> bool:
    """Whether an alert was stored before, as far back as is remembered."""
    return connection.execute("SELECT 1 FROM seen WHERE alert_id = ?", (alert_id,)).fetchone() is not None


def judge(connection: sqlite3.Connection) -> tuple[str, int, str] | None:
    """Journal, cursor and state."""
    row = connection.execute("SELECT journal, cursor, state FROM judge").fetchone()
    return None if row is None else (str(row[0]), int(row[1]), str(row[2]))


def tombstones(connection: sqlite3.Connection, limit: int) -> list[CloudTombstone]:
    """Numbers the cloud will never get, lowest first."""
    name = epoch(connection)
    found = connection.execute(
        "SELECT from_seq, through_seq, reason FROM tombstones ORDER BY from_seq LIMIT ?", (limit,)
    ).fetchall()
    return [
        CloudTombstone(epoch=name, from_seq=first, through_seq=last, tombstone=reason) for first, last, reason in found
    ]


def numbers(connection: sqlite3.Connection, channels: Sequence[str]) -> Numbers:
    """Everything the health report needs."""
    oldest: dict[str, float] = {}
    for channel in channels:
        row = connection.execute(
            "SELECT created FROM alerts WHERE id = (SELECT min(id) FROM pending WHERE channel = ?)", (channel,)
        ).fetchone()
        if row is not None:
            oldest[channel] = float(row[0])
    found = connection.execute("SELECT key, value FROM meta WHERE key <> 'epoch'").fetchall()
    meta = {str(key): float(value) for key, value in found}
    return Numbers(meta, oldest, reports.count(connection), schema.used_bytes(connection))
