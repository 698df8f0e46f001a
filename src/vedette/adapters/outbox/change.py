"""What one transaction does to the outbox, as a value: it can wait in memory, and be joined with what came later."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final

from vedette.adapters.outbox import entries, queries, reports, schema
from vedette.adapters.outbox.entries import Entry
from vedette.ports.outbox import Gap, OutboxRow, OutgoingReport

#: Reports of insights that wait for the disk, at most.
REPORTS_IN_MEMORY: Final = 1_000


@dataclass(frozen=True, slots=True)
class Position:
    """Where judging stands: the journal's identity, the last number judged, the rules' state as JSON."""

    journal: str
    cursor: int
    state: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What applying a change brought about.

    Attributes:
        evicted: rows that had to be given up, by channel.
        within_quota: False where nothing more may be given up.
        acknowledged: rows the cloud's acknowledgement freed.
    """

    evicted: dict[str, int]
    within_quota: bool
    acknowledged: int


@dataclass(slots=True)
class Change:
    """Every part may be done in any order, and doing one twice does no harm.

    Attributes:
        position: None where it did not move.
        new: alerts by row id. An entry that a receiver took before it reached the disk has lost that channel.
        gaps: seconds nobody judged.
        done: channel → row ids it has.
        buried: rows refused for good, with the reason and the time.
        acked: (epoch, number): the cloud has everything up to here. Of no effect in another epoch.
        reports: insights, newest last.
        reports_at_s: Unix time of the newest of them.
        reports_sent: (target, report) that its target has.
        reports_lost: given up before they reached the disk.
    """

    position: Position | None = None
    new: dict[int, Entry] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    done: dict[str, set[int]] = field(default_factory=dict)
    buried: dict[tuple[str, int], tuple[OutboxRow, str, float]] = field(default_factory=dict)
    acked: tuple[str, int] = ("", 0)
    reports: list[OutgoingReport] = field(default_factory=list)
    reports_at_s: float = 0.0
    reports_sent: set[tuple[str, str]] = field(default_factory=set)
    reports_lost: int = 0

    def add(self, other: Change) -> None:
        """Take in what came later."""
        self.position = other.position or self.position
        self.new.update(other.new)
        self.gaps = (self.gaps + other.gaps)[-entries.GAPS_KEPT :]
        for channel, row_ids in other.done.items():
            self.done.setdefault(channel, set()).update(row_ids)
        self.buried.update(other.buried)
        if other.acked[1]:
            self.acked = max(self.acked, other.acked) if self.acked[0] == other.acked[0] else other.acked
        self.reports_sent |= other.reports_sent
        waiting = self.reports + other.reports
        self.reports = waiting[-REPORTS_IN_MEMORY:]
        self.reports_at_s = max(self.reports_at_s, other.reports_at_s)
        self.reports_lost += other.reports_lost + len(waiting) - len(self.reports)

    def hides(self, row: OutboxRow) -> bool:
        """Whether a row on disk is one that its channel is done with."""
        return (
            row.row_id in self.done.get(row.channel, ())
            or (row.channel, row.row_id) in self.buried
            or bool(row.seq and row.epoch == self.acked[0] and row.seq <= self.acked[1])
        )

    def apply(self, connection: sqlite3.Connection, max_bytes: int) -> Outcome:
        """Do it all."""
        evicted = self._insert(connection, max_bytes)
        if self.position is not None:
            connection.execute(
                "INSERT OR REPLACE INTO judge VALUES (1, ?, ?, ?)",
                (self.position.journal, self.position.cursor, self.position.state),
            )
        for gap in self.gaps:
            connection.execute(
                "INSERT INTO gaps (pipeline, camera, from_wall, seconds, reason) VALUES (?, ?, ?, ?, ?)",
                (gap.pipeline, gap.camera, gap.from_wall_s, gap.seconds, gap.reason),
            )
            schema.add(connection, "not_analysed_s", gap.seconds)
        for channel, row_ids in self.done.items():
            entries.done(connection, channel, sorted(row_ids))
        for row, reason, at in self.buried.values():
            entries.bury(connection, row, reason, at)
        acknowledged = 0
        if self.acked[1] and self.acked[0] == queries.epoch(connection):
            acknowledged = entries.acknowledge(connection, self.acked[1])
        self._apply_reports(connection, max_bytes)
        grown = self.new or self.reports
        within = _keep_quota(connection, max_bytes, evicted) if grown else True
        return Outcome(evicted, within, acknowledged)

    def _apply_reports(self, connection: sqlite3.Connection, max_bytes: int) -> None:
        # Those sent go first: what is stored now was not sent yet.
        if self.reports_sent:
            reports.sent(connection, self.reports_sent)
        if self.reports_lost:
            schema.add(connection, "reports_dropped", self.reports_lost)
        if self.reports:
            reports.insert(connection, self.reports, self.reports_at_s)
            reports.keep_bounds(connection, self.reports_at_s, max_bytes)

    def _insert(self, connection: sqlite3.Connection, max_bytes: int) -> dict[str, int]:
        """Store the alerts; what had to be given up meanwhile, by channel."""
        evicted: dict[str, int] = {}
        if not self.new:
            return evicted
        seq = schema.get(connection, "next_seq", 1)
        for _row_id, entry in sorted(self.new.items()):
            seq = entries.insert(connection, entry, seq)
            _keep_quota(connection, max_bytes, evicted)
        newest = max(self.new)
        schema.put(connection, "next_id", newest + 1)
        schema.put(connection, "next_seq", seq)
        entries.forget_old(connection, newest)
        return evicted


def _keep_quota(connection: sqlite3.Connection, max_bytes: int, evicted: dict[str, int]) -> bool:
    """Add to ``evicted`` what had to be given up; whether the quota is kept."""
    taken, within = entries.keep_quota(connection, max_bytes)
    for channel, number in taken.items():
        evicted[channel] = evicted.get(channel, 0) + number
    return within
