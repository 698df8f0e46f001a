"""The outbox in SQLite: write-ahead log, flushed at every commit, one writer thread with group commit.

While the disk refuses, changes are kept in memory, bounded, and joined; alerts are delivered from there except to the
cloud, whose sequence numbers must not be given to another alert after a crash.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vedette.adapters.outbox import queries, reports
from vedette.adapters.outbox.change import Change, Outcome, Position
from vedette.adapters.outbox.entries import Entry
from vedette.adapters.outbox.file import OutboxFile
from vedette.contracts.alert import CloudTombstone
from vedette.contracts.errors import StorageError
from vedette.ports.outbox import (
    CLOUD_CHANNEL,
    ChannelHealth,
    Gap,
    NewAlert,
    Origin,
    OutboxHealth,
    OutboxRow,
    OutgoingReport,
    QueuedReport,
    Resume,
)

log = logging.getLogger(__name__)

#: Alerts that may exist in memory only while the disk refuses.
MAX_VOLATILE: Final = 5_000
#: The disk is tried again no sooner than this after it refused.
RETRY_S: Final = 0.5
_NO_LIMIT: Final = 1 << 62


class SqliteOutbox:
    """Implements ``vedette.ports.outbox.Outbox``.

    Args:
        path: ``<state>/outbox.db``; made where it does not exist.
        max_bytes: quota of the file; only critical alerts may take it further.
        wall_s: Unix time.
        max_volatile: alerts that may wait in memory while the disk refuses.
        alive: see ``OutboxFile``.

    Raises:
        StorageError: see ``OutboxFile``.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 2 << 30,
        wall_s: Callable[[], float] = time.time,
        max_volatile: int = MAX_VOLATILE,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._wall_s = wall_s
        self._max_volatile = max_volatile
        # Always taken before the file's own lock, never while waiting for one's own commit.
        self._lock = threading.RLock()
        self._file = OutboxFile(path, alive)
        self._generation = self._file.generation
        self._unsaved = Change()
        self._problem = ""
        self._retry_s = 0.0
        self._over_quota = False
        self._next_id = self._file.ask(queries.next_id)
        self._counts = self._file.ask(queries.counts)

    @property
    def epoch(self) -> str:
        """Names this file; sequence numbers for the cloud count within it."""
        return self._file.ask(queries.epoch)

    @property
    def damage(self) -> StorageError | None:
        """What was found damaged last (V403), to report."""
        return self._file.damage

    # -- what the judge does --------------------------------------------------------------------------------------

    def resume(self) -> Resume:
        """Where judging stopped. A state that cannot be read counts as lost."""
        found = self._file.ask(queries.judge)
        if found is not None:
            with contextlib.suppress(ValueError):
                state = json.loads(found[2])
                if isinstance(state, dict):
                    return Resume(Origin.RESUMED, found[0], found[1], state)
        lost = found is not None or self._file.damage is not None
        return Resume(Origin.LOST if lost else Origin.FRESH, "", 0, {})

    def commit(
        self,
        journal: str,
        cursor: int,
        state: Mapping[str, Any],
        alerts: Sequence[NewAlert] = (),
        gaps: Sequence[Gap] = (),
        reports: Sequence[OutgoingReport] = (),
    ) -> int:
        """One transaction: where judging stands, and what it found."""
        position = Position(journal, cursor, json.dumps(state, separators=(",", ":")))
        change = Change(position=position, gaps=list(gaps), reports=list(reports), reports_at_s=self._wall_s())
        with self._lock:
            self._follow_file()
            fresh = [new for new in _distinct(alerts) if not self._had(new.alert.alert_id)]
            if self._problem and fresh and len(self._unsaved.new) + len(fresh) > self._max_volatile:
                raise StorageError(
                    f"outbox {self._path}: {self._problem}; {len(self._unsaved.new)} alerts wait in memory.",
                    hint="Judging waits; the journal keeps what was seen. Make room on the disk.",
                    code="V404",
                )
            for new in fresh:
                entry = Entry.of(new, self._next_id, self._wall_s())
                self._next_id += 1
                change.new[entry.row_id] = entry
                for channel in entry.pending:
                    self._counts[channel] = self._counts.get(channel, 0) + 1
        self._write(change)
        return len(fresh)

    def flush(self) -> bool:
        """Try again to write what the disk refused; whether everything is on disk."""
        self._file.look()
        with self._lock:
            self._follow_file()
            if not self._problem:
                return True
        return self._write(Change())

    # -- what the receivers' threads do ---------------------------------------------------------------------------

    def rows(self, channel: str, after: int, through: int | None, limit: int) -> Sequence[OutboxRow]:
        """Undelivered rows with ``after < row_id <= through``, oldest first."""
        last = _NO_LIMIT if through is None else through
        with self._lock:
            volatile = [
                entry.row(channel)
                for row_id, entry in sorted(self._unsaved.new.items())
                if after < row_id <= last and channel in entry.pending and channel != CLOUD_CHANNEL
            ]
            hidden = len(self._unsaved.done.get(channel, ())) + len(self._unsaved.buried)
            hidden += self._unsaved.acked[1] and self._counts.get(channel, 0)
        stored = self._file.ask(lambda c: queries.rows(c, channel, after, last, limit + hidden))
        with self._lock:
            found = [row for row in stored if not self._unsaved.hides(row)]
        on_disk = {row.row_id for row in found}
        return (found + [row for row in volatile if row.row_id not in on_disk and not self._unsaved.hides(row)])[:limit]

    def count(self, channel: str, after: int, limit: int) -> int:
        """How many undelivered rows are above ``after``, counting no further than ``limit``."""
        with self._lock:
            volatile = sum(row_id > after and channel in entry.pending for row_id, entry in self._unsaved.new.items())
        return min(limit, self._file.ask(lambda c: queries.count(c, channel, after, limit)) + volatile)

    def newest(self, channel: str) -> int:
        """Highest undelivered row_id of a channel; 0 where there is none."""
        with self._lock:
            volatile = [row_id for row_id, entry in self._unsaved.new.items() if channel in entry.pending]
        return max([self._file.ask(lambda c: queries.newest(c, channel)), *volatile])

    def delivered(self, channel: str, row_ids: Sequence[int]) -> None:
        """The receiver has them: forget them."""
        with self._lock:
            stored = {row_id for row_id in row_ids if not self._forget_volatile(channel, row_id)}
            self._uncount(channel, len(row_ids))
        if stored:
            self._write(Change(done={channel: stored}))

    def refused(self, row: OutboxRow, reason: str) -> None:
        """The receiver will never take it: keep it as a dead letter, and tell the cloud's sequence."""
        self.give_up([(row, reason)])

    def give_up(self, refused: Sequence[tuple[OutboxRow, str]]) -> None:
        """``refused`` for many rows, each with its reason, in one transaction."""
        if not refused:
            return
        row, reason = refused[-1]
        more = f" (and {len(refused) - 1} before it)" if len(refused) > 1 else ""
        log.warning("alert %s given up for %s: %s%s", row.alert_id, row.channel, reason, more)
        self._bury(refused)

    def acknowledge(self, epoch: str, through_seq: int) -> int:
        """The ledger has everything of the epoch up to here; how many rows that freed."""
        if epoch != self.epoch or through_seq < 1:
            return 0
        before = self._counts.get(CLOUD_CHANNEL, 0)
        self._write(Change(acked=(epoch, through_seq)))
        return before - self._counts.get(CLOUD_CHANNEL, 0)

    def tombstones(self, limit: int) -> Sequence[CloudTombstone]:
        """Numbers the cloud will never get, lowest first, until acknowledged."""
        return self._file.ask(lambda c: queries.tombstones(c, limit))

    def report_targets(self) -> Sequence[str]:
        """Whoever reports of insights wait for."""
        return self._file.ask(reports.targets)

    def reports(self, target: str, limit: int) -> Sequence[QueuedReport]:
        """Reports that wait for a target, oldest first."""
        with self._lock:
            gone = set(self._unsaved.reports_sent)
        stored = self._file.ask(lambda c: reports.take(c, target, limit + len(gone)))
        return [report for report in stored if (target, report.report_id) not in gone][:limit]

    def reports_sent(self, done: Sequence[QueuedReport]) -> None:
        """Their targets have them: forget them."""
        if done:
            self._write(Change(reports_sent={(report.target, report.report_id) for report in done}))

    def channels(self) -> Sequence[str]:
        """Channels with undelivered rows."""
        with self._lock:
            return sorted(channel for channel, number in self._counts.items() if number > 0)

    def abandon(self, channel: str, reason: str) -> int:
        """Make dead letters of every row of a channel that exists no more; how many."""
        number = 0
        while rows := self.rows(channel, 0, None, 500):
            number += len(rows)
            if not self._bury([(row, reason) for row in rows]):
                break
        return number

    # -- what the health report asks ------------------------------------------------------------------------------

    def health(self) -> OutboxHealth:
        """Totals."""
        with self._lock:
            self._follow_file()
            counts = dict(self._counts)
            durable, problem, volatile = not self._problem, self._problem, len(self._unsaved.new)
        numbers = self._file.ask(lambda c: queries.numbers(c, list(counts)))
        if not problem and self._over_quota and numbers.used_bytes > self._max_bytes:
            problem = f"V404 the quota of {self._max_bytes} bytes is full of critical alerts, which are kept"
        return OutboxHealth(
            channels={
                channel: ChannelHealth(number, numbers.oldest_wall_s.get(channel))
                for channel, number in sorted(counts.items())
            },
            durable=durable,
            problem=problem,
            volatile=volatile,
            evicted={
                key.removeprefix("evicted_"): int(value)
                for key, value in numbers.meta.items()
                if key.startswith("evicted_")
            },
            dead_letters=int(numbers.meta.get("dead_letters", 0)),
            salvaged=int(numbers.meta.get("salvaged", 0)),
            not_analysed_s=numbers.meta.get("not_analysed_s", 0.0),
            used_bytes=numbers.used_bytes,
            reports=numbers.reports,
            reports_dropped=int(numbers.meta.get("reports_dropped", 0)),
        )

    def close(self) -> None:
        """Write what is waiting and close; idempotent."""
        with self._lock:
            self._retry_s = 0.0
        with contextlib.suppress(StorageError, sqlite3.Error):
            self.flush()
        self._file.close()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _follow_file(self) -> None:
        """Count again where the file was rebuilt: not every row may have been readable."""
        if self._generation != self._file.generation:
            self._generation = self._file.generation
            self._counts = self._file.ask(queries.counts)
            for entry in self._unsaved.new.values():
                for channel in entry.pending:
                    self._counts[channel] = self._counts.get(channel, 0) + 1

    def _had(self, alert_id: str) -> bool:
        if any(entry.alert_id == alert_id for entry in self._unsaved.new.values()):
            return True
        return self._file.ask(lambda c: queries.had(c, alert_id))

    def _forget_volatile(self, channel: str, row_id: int) -> bool:
        """Take a channel off an alert that is not on disk yet; False where it may be."""
        entry = self._unsaved.new.get(row_id)
        if entry is None:
            return False
        entry.pending.discard(channel)
        return True

    def _bury(self, refused: Sequence[tuple[OutboxRow, str]]) -> bool:
        with self._lock:
            for row, _ in refused:
                self._uncount(row.channel, 1)
            now_s = self._wall_s()
        return self._write(Change(buried={(row.channel, row.row_id): (row, reason, now_s) for row, reason in refused}))

    def _uncount(self, channel: str, number: int) -> None:
        self._counts[channel] = max(0, self._counts.get(channel, 0) - number)

    def _write(self, change: Change) -> bool:
        """Put a change on disk, with all that waits; where the disk refuses it waits too. Whether it is on disk."""
        with self._lock:
            if self._problem:
                self._unsaved.add(change)
                return time.monotonic() >= self._retry_s and self._write_waiting()
        try:
            outcome = self._file.run(lambda c: change.apply(c, self._max_bytes))
        except sqlite3.Error as error:
            with self._lock:
                self._unsaved.add(change)
                self._refused(error)
            return False
        with self._lock:
            self._wrote(outcome)
        return True

    def _write_waiting(self) -> bool:
        """One attempt with everything that waits; the lock is held, nobody may change what is being written."""
        waiting = self._unsaved
        try:
            outcome = self._file.run(lambda c: waiting.apply(c, self._max_bytes))
        except sqlite3.Error as error:
            self._refused(error)
            return False
        self._unsaved = Change()
        self._problem = ""
        log.info("outbox %s can be written to again", self._path)
        self._wrote(outcome)
        return True

    def _refused(self, error: sqlite3.Error) -> None:
        if not self._problem:
            log.error("outbox %s cannot be written to (%s); alerts are delivered from memory", self._path, error)
        self._problem = f"V404 outbox cannot be written to ({error})"
        self._retry_s = time.monotonic() + RETRY_S

    def _wrote(self, outcome: Outcome) -> None:
        self._uncount(CLOUD_CHANNEL, outcome.acknowledged)
        for channel, number in outcome.evicted.items():
            self._uncount(channel, number)
        if outcome.evicted:
            log.warning("outbox %s is at its quota: gave up %s", self._path, outcome.evicted)
        if outcome.evicted or not outcome.within_quota:
            self._over_quota = not outcome.within_quota


def _distinct(alerts: Sequence[NewAlert]) -> list[NewAlert]:
    return list({new.alert.alert_id: new for new in reversed(alerts)}.values())[::-1]
