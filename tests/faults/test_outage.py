"""R6, R13: a long outage within the quota; what is given up when the quota is reached."""

from __future__ import annotations

import json
import logging
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.faults import scorecard
from tests.faults.alerts import ALERT_BYTES, new_alert
from tests.faults.scorecard import Anchor, Control, Row
from vedette.adapters.outbox.salvage import SUFFIXES
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import Severity
from vedette.ports.outbox import CLOUD_CHANNEL, NewAlert

RATE_HZ: Final = 10
GOAL_H: Final = 72
QUOTA_BYTES: Final = 2 << 30
GROWN_BYTES: Final = 10 << 20
PAGE_BYTES: Final = 4096
#: What the others keep of the same alerts (documentation and source of each, read in 2026).
ANCHORS: Final = (
    Anchor("Greengrass Stream Manager, 256 MB", "12 h", "documented"),
    Anchor("Azure IoT Edge, TTL 7200 s", "2 h", "documented"),
    Anchor("EdgeX store and forward", "50 min", "documented"),
    Anchor("Greengrass nucleus, 2.5 MB in memory", "7 min", "documented"),
    Anchor("Frigate MQTT, Greengrass nucleus lite", "0 h", "documented"),
)


def commit(outbox: SqliteOutbox, alerts: list[NewAlert], step: int = 500) -> None:
    for begin in range(0, len(alerts), step):
        outbox.commit("j", begin, {}, alerts[begin : begin + step])


def multiply(path: Path, rows: int) -> None:
    """Fill up to so many rows with copies of those that are there: what the outbox itself would have written, faster.

    Numbers are given on; the ids of copies are of the same length.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        have = int(connection.execute("SELECT max(id) FROM alerts").fetchone()[0])
        while have < rows:
            more = min(have, rows - have)
            connection.execute(
                "INSERT INTO alerts SELECT id + ?1, printf('%032x', id + ?1), severity, camera, created, seq + ?1,"
                " channels, left, body FROM alerts WHERE id <= ?2 ORDER BY id",
                (have, more),
            )
            connection.execute(
                "INSERT INTO pending SELECT channel, id + ?1 FROM pending WHERE id <= ?2 ORDER BY id", (have, more)
            )
            have += more
        connection.execute("UPDATE meta SET value = ? WHERE key IN ('next_id', 'next_seq')", (rows + 1,))
        connection.execute("COMMIT")


def test_r6_outage(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    rows = scorecard.size(quick=GOAL_H * 3600 * RATE_HZ // 20, full=GOAL_H * 3600 * RATE_HZ)
    path = tmp_path / "outbox.db"
    sample = [new_alert(n, CLOUD_CHANNEL) for n in range(20_000)]
    assert {len(one.alert.model_dump_json(exclude_none=True)) for one in sample} == {ALERT_BYTES}
    with closing(SqliteOutbox(path)) as outbox:
        commit(outbox, sample)
    multiply(path, rows - 500)
    said = subprocess.run(
        [sys.executable, "-m", "tests.faults.outage_program", str(tmp_path / "small.db"), str(path), str(rows - 500)],
        cwd=scorecard.REPOSITORY,
        capture_output=True,
        check=True,
        timeout=300,
    )
    told = json.loads(said.stdout)
    hours = rows / told["used_bytes"] * QUOTA_BYTES / RATE_HZ / 3600
    row = Row(
        "R6",
        "outage survived without a loss at 10 alerts/s of 600 bytes within 2 GB",
        hours,
        "h",
        rows,
        ">= 72 h; memory grows <= 10 MB",
        passed=hours >= GOAL_H and told["pending"] == rows and not told["evicted"] and told["grown"] <= GROWN_BYTES,
        anchors=ANCHORS,
        notes=f"{rows} alerts wait in {told['used_bytes'] / 1e6:.0f} MB, none given up; memory of the process grew by "
        f"{told['grown'] / 1e6:.1f} MB over that with an empty outbox; opened in {told['opened_s']:.2f} s. The first "
        "20,000 and the last 500 alerts were committed, those between are copies made in SQL.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


@dataclass
class Peak:
    """The most that an outbox took of the disk, bytes.

    Attributes:
        main: of the file itself.
        together: with SQLite's log and its index beside it.
    """

    main: int = 0
    together: int = 0

    def look(self, path: Path) -> None:
        """Take the sizes as they are now; what is beside the file comes and goes."""
        main, *beside = (_size(path.with_name(path.name + suffix)) for suffix in SUFFIXES)
        self.main, self.together = max(self.main, main), max(self.together, main + sum(beside))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def fill_beyond(path: Path, quota: int, alerts: int, chance: random.Random) -> tuple[Peak, SqliteOutbox, list[str]]:
    """Commit until the quota has been passed many times over; the most it took, the outbox, ids of critical ones."""
    outbox = SqliteOutbox(path, max_bytes=quota)
    peak, number, critical = Peak(), 0, list[str]()
    while number < alerts:
        some = []
        for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
            severity = chance.choices((Severity.INFO, Severity.WARNING, Severity.CRITICAL), (80, 19, 1))[0]
            some.append(new_alert(number, "app/hook", CLOUD_CHANNEL, severity=severity))
            if severity is Severity.CRITICAL:
                critical.append(some[-1].alert.alert_id)
            number += 1
        outbox.commit("j", number, {}, some)
        peak.look(path)
    return peak, outbox, critical


def test_r13_quota(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    begun_s, seed = time.monotonic(), scorecard.seed()
    quota, alerts = 4 << 20, scorecard.size(quick=8_000, full=40_000)
    path = tmp_path / "outbox.db"
    peak, outbox, critical = fill_beyond(path, quota, alerts, random.Random(seed))
    with closing(outbox):
        kept = {row.alert_id for row in outbox.rows("app/hook", 0, None, alerts)}
        evicted = outbox.health().evicted
        numbers = [one.seq for one in outbox.rows(CLOUD_CHANNEL, 0, None, alerts)]
        numbers += [n for stone in outbox.tombstones(alerts) for n in range(stone.from_seq, stone.through_seq + 1)]
    peak.look(path)
    lost = len(set(critical) - kept)
    untold = len(set(range(1, alerts + 1)) - set(numbers))
    unlimited, other, _ = fill_beyond(tmp_path / "control.db", 1 << 40, alerts // 2 + 4_000, random.Random(seed))
    other.close()
    unlimited.look(tmp_path / "control.db")
    notes = f"{lost} of {len(critical)} critical alerts given up; {dict(evicted)} others, {untold} of them without a tombstone for the cloud."
    row = quota_row(peak.main, unlimited.main, quota, alerts, well=not lost and not untold, notes=notes)
    beside = with_log_row(peak, unlimited, quota, alerts)
    for each in (row, beside):
        scorecard.record(each, time.monotonic() - begun_s)
    assert row.passed, row
    assert beside.passed, beside


def quota_row(peak: int, unlimited: int, quota: int, alerts: int, *, well: bool, notes: str) -> Row:
    """Of the file whose size the outbox looks at.

    Args:
        unlimited: its peak where there was no quota.
        well: nothing was given up that may not be, and all of it was told.
    """
    over, control = max(0, peak - quota) / PAGE_BYTES, (unlimited - quota) / PAGE_BYTES
    return Row(
        "R13",
        "pages of the outbox's main file above its quota; critical alerts given up",
        over,
        "pages",
        alerts,
        "<= 1 page; 0",
        passed=over <= 1 and well and control > 1,
        control=Control("no quota", control, control > 1),
        seed=scorecard.seed(),
        notes=f"{notes} With what lies beside it: R13-with-log.",
    )


def with_log_row(peak: Peak, unlimited: Peak, quota: int, alerts: int) -> Row:
    """Of all that the outbox takes of the disk."""
    over, control = (max(0, each.together - quota) / PAGE_BYTES for each in (peak, unlimited))
    return Row(
        "R13-with-log",
        "pages of the outbox above its quota, SQLite's log and its index beside the file included",
        over,
        "pages",
        alerts,
        "<= 1 page",
        passed=over <= 1 and control > over,
        control=Control("no quota", control, control > over),
        seed=scorecard.seed(),
        notes=f"{peak.together:,} bytes at most, the file alone {peak.main:,}, with a quota of {quota:,}. The quota is kept by the file; what "
        "lies beside it comes on top, however large the quota is.",
    )
