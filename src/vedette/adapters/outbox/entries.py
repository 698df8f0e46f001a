"""An alert between judging and the last receiver, and the statements that keep its rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from vedette.adapters.outbox import reports, schema
from vedette.contracts.alert import Severity
from vedette.ports.outbox import CLOUD_CHANNEL, NewAlert, OutboxRow

#: Alert ids remembered after delivery, against repeats.
SEEN_KEPT: Final = 20_000
#: Dead letters and gaps kept to look at; the counters count all.
DEAD_LETTERS_KEPT: Final = 1_000
GAPS_KEPT: Final = 1_000
#: Alerts given up at a time when the quota is reached.
EVICT_STEP: Final = 64
#: Room kept free below the quota, so that one alert more does not make the file larger than it may be. At most half.
RESERVE_BYTES: Final = 32 << 10


@dataclass(slots=True)
class Entry:
    """One alert and whoever still waits for it.

    Attributes:
        row_id: place in the order of judging.
        rank: of the severity.
        pending: channels not done yet.
    """

    row_id: int
    alert_id: str
    rank: int
    camera: str
    created_wall_s: float
    body: bytes
    channels: tuple[str, ...]
    pending: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, new: NewAlert, row_id: int, now_wall_s: float) -> Entry:
        """The alert as it is stored."""
        alert = new.alert
        channels = tuple(dict.fromkeys(new.channels))
        return cls(
            row_id=row_id,
            alert_id=alert.alert_id,
            rank=schema.RANKS[alert.severity],
            camera=f"{alert.application}/{alert.camera}",
            created_wall_s=now_wall_s,
            body=alert.model_dump_json(exclude_none=True).encode(),
            channels=channels,
            pending=set(channels),
        )

    def row(self, channel: str) -> OutboxRow:
        """The alert on its way to one receiver; not to the cloud, which needs a number from the disk."""
        return OutboxRow(
            self.row_id, channel, self.alert_id, self.camera, self.body, created_wall_s=self.created_wall_s
        )


def insert(connection: sqlite3.Connection, entry: Entry, next_seq: int) -> int:
    """Store an alert with the channels it still waits for. Returns the cloud's next free number.

    The number is given here, in the transaction, so that none is missing and none is given twice.
    """
    new = connection.execute(
        "INSERT OR IGNORE INTO seen (id, alert_id) VALUES (?, ?)", (entry.row_id, entry.alert_id)
    ).rowcount
    if not new or not entry.pending:
        return next_seq
    cloud = CLOUD_CHANNEL in entry.pending
    connection.execute(
        "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.row_id,
            entry.alert_id,
            entry.rank,
            entry.camera,
            entry.created_wall_s,
            next_seq if cloud else 0,
            json.dumps(entry.channels),
            len(entry.pending),
            entry.body,
        ),
    )
    connection.executemany(
        "INSERT INTO pending VALUES (?, ?)", [(channel, entry.row_id) for channel in sorted(entry.pending)]
    )
    return next_seq + cloud


def forget_old(connection: sqlite3.Connection, newest_id: int) -> None:
    """Keep what is only remembered within its bounds."""
    connection.execute("DELETE FROM seen WHERE id <= ?", (newest_id - SEEN_KEPT,))
    for table, kept in (("dead_letters", DEAD_LETTERS_KEPT), ("gaps", GAPS_KEPT)):
        newest = f"SELECT max(id) FROM {table}"  # noqa: S608 - names of ours
        connection.execute(f"DELETE FROM {table} WHERE id <= ({newest}) - ?", (kept,))  # noqa: S608 - as above


def done(connection: sqlite3.Connection, channel: str, row_ids: Iterable[int]) -> int:
    """A channel is done with these; the alert goes with its last channel. How many there were."""
    found = 0
    for row_id in row_ids:
        gone = connection.execute("DELETE FROM pending WHERE channel = ? AND id = ?", (channel, row_id)).rowcount
        if gone:
            found += 1
            left = connection.execute("DELETE FROM alerts WHERE id = ? AND left <= 1", (row_id,)).rowcount
            if not left:
                connection.execute("UPDATE alerts SET left = left - 1 WHERE id = ?", (row_id,))
    return found


def bury(connection: sqlite3.Connection, row: OutboxRow, reason: str, now_wall_s: float) -> int:
    """Make a dead letter of a row; 0 where it had gone."""
    if not done(connection, row.channel, (row.row_id,)):
        return 0
    connection.execute(
        "INSERT INTO dead_letters (at, channel, alert_id, reason, body) VALUES (?, ?, ?, ?, ?)",
        (now_wall_s, row.channel, row.alert_id, reason, row.body),
    )
    schema.add(connection, "dead_letters", 1)
    if row.seq:
        add_tombstone(connection, row.seq, "refused")
    return 1


def add_tombstone(connection: sqlite3.Connection, seq: int, reason: str) -> None:
    """Remember that a number will never come; neighbours of one reason become one range."""
    before = connection.execute(
        "SELECT from_seq, through_seq, reason FROM tombstones WHERE from_seq <= ? ORDER BY from_seq DESC LIMIT 1",
        (seq,),
    ).fetchone()
    if before is not None and before[1] >= seq:
        return
    first, last = seq, seq
    if before is not None and before[1] == seq - 1 and before[2] == reason:
        first = int(before[0])
    after = connection.execute(
        "SELECT through_seq FROM tombstones WHERE from_seq = ? AND reason = ?", (seq + 1, reason)
    ).fetchone()
    if after is not None:
        last = int(after[0])
        connection.execute("DELETE FROM tombstones WHERE from_seq = ?", (seq + 1,))
    connection.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?, ?)", (first, last, reason))


def acknowledge(connection: sqlite3.Connection, through_seq: int) -> int:
    """The cloud has everything up to here. A number that was never given frees nothing. How many rows that freed."""
    if through_seq >= schema.get(connection, "next_seq", 1):
        return 0
    rows = connection.execute("SELECT id FROM alerts WHERE seq > 0 AND seq <= ?", (through_seq,)).fetchall()
    found = done(connection, CLOUD_CHANNEL, (row[0] for row in rows))
    connection.execute("DELETE FROM tombstones WHERE through_seq <= ?", (through_seq,))
    connection.execute("UPDATE tombstones SET from_seq = ?1 + 1 WHERE from_seq <= ?1", (through_seq,))
    return found


def keep_quota(connection: sqlite3.Connection, max_bytes: int) -> tuple[dict[str, int], bool]:
    """Give up reports of insights, then the oldest alerts of the least severe class, until the quota is kept.

    Critical alerts stay. A file does not shrink: it stays within its quota only where this is asked after every alert.

    Returns:
        Rows taken from each channel, and whether the file is within its quota now.
    """
    taken: dict[str, int] = {}
    limit = max_bytes - min(RESERVE_BYTES, max_bytes // 2)
    while (used := schema.used_bytes(connection)) > limit:
        if reports.give_up(connection):
            continue
        rows: Sequence[tuple[int, int, int, str]] = connection.execute(
            "SELECT id, severity, seq, channels FROM alerts WHERE severity < 2 ORDER BY severity, id LIMIT ?",
            (EVICT_STEP,),
        ).fetchall()
        if not rows:
            return taken, used <= max_bytes
        for row_id, rank, seq, channels in rows:
            had_cloud = False
            for channel in json.loads(channels):
                gone = connection.execute(
                    "DELETE FROM pending WHERE channel = ? AND id = ?", (channel, row_id)
                ).rowcount
                taken[channel] = taken.get(channel, 0) + gone
                had_cloud |= bool(gone) and channel == CLOUD_CHANNEL
            connection.execute("DELETE FROM alerts WHERE id = ?", (row_id,))
            schema.add(connection, f"evicted_{_name(rank)}", 1)
            if had_cloud and seq:
                add_tombstone(connection, seq, "evicted")
    return taken, True


def _name(rank: int) -> str:
    severity: Severity = schema.SEVERITY_OF_RANK[rank]
    return severity.value
