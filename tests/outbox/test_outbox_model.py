"""The outbox against a model: whatever is delivered, refused, acknowledged or crashed, nothing is lost or twice."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.outbox.samples import new
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import Severity
from vedette.ports.outbox import CLOUD_CHANNEL

CHANNELS = ("app/file", "app/hook", CLOUD_CHANNEL)
#: What is tested here is no property of the disk, so it may be one without flushes.
MEMORY = Path("/dev/shm")


class OutboxMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="vd-outbox-", dir=MEMORY if MEMORY.is_dir() else None))
        self.life = 0
        self.pending: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
        self.known: list[int] = []
        self.sequence: list[str] = []
        self.acked = 0
        self.buried = 0
        self.cursor = 0
        self.number = 0

    @initialize()
    def begin(self) -> None:
        (self.root / "0").mkdir()
        self.outbox = SqliteOutbox(self.root / "0" / "outbox.db")
        self.epoch = self.outbox.epoch

    @rule(
        channels=st.lists(st.sets(st.sampled_from(CHANNELS)), max_size=4),
        repeat=st.booleans(),
        severity=st.sampled_from(list(Severity)),
    )
    def commit(self, channels: list[set[str]], repeat: bool, severity: Severity) -> None:
        repeated = [new(self.known[0], *CHANNELS)] if repeat and self.known else []
        alerts = []
        for one in channels:
            alerts.append(new(self.number, *sorted(one), severity=severity))
            self.known.append(self.number)
            self.number += 1
        fresh = alerts
        alerts = repeated + alerts
        self.cursor += 1
        assert self.outbox.commit("journal", self.cursor, {"n": self.cursor}, alerts) == len(fresh)
        for each in fresh:
            for channel in each.channels:
                self.pending[channel].append(each.alert.alert_id)
                if channel == CLOUD_CHANNEL:
                    self.sequence.append(each.alert.alert_id)

    @rule(channel=st.sampled_from(CHANNELS[:2]), number=st.integers(1, 5), last=st.booleans())
    def deliver(self, channel: str, number: int, last: bool) -> None:
        rows = self.outbox.rows(channel, 0, None, 100)
        taken = rows[-number:] if last else rows[:number]  # fresh ones go ahead of a backlog
        self.outbox.delivered(channel, [row.row_id for row in taken])
        for row in taken:
            self.pending[channel].remove(row.alert_id)

    @rule(channel=st.sampled_from(CHANNELS))
    def refuse(self, channel: str) -> None:
        rows = self.outbox.rows(channel, 0, None, 1)
        for row in rows:
            self.outbox.refused(row, "poison")
            self.pending[channel].remove(row.alert_id)
            self.buried += 1

    @precondition(lambda self: len(self.sequence) > self.acked)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        through = data.draw(st.integers(self.acked, len(self.sequence)))
        self.outbox.acknowledge(self.epoch, through)
        for alert_id in self.sequence[self.acked : through]:
            if alert_id in self.pending[CLOUD_CHANNEL]:
                self.pending[CLOUD_CHANNEL].remove(alert_id)
        self.acked = through

    @rule(through=st.integers(0, 1000))
    def acknowledge_nonsense(self, through: int) -> None:
        assert self.outbox.acknowledge("another epoch", through) == 0
        assert self.outbox.acknowledge(self.epoch, len(self.sequence) + 1 + through) == 0

    @rule(crash=st.booleans())
    def reopen(self, crash: bool) -> None:
        self.life += 1
        target = self.root / str(self.life)
        old = self.root / str(self.life - 1)
        if not crash:
            self.outbox.close()
        target.mkdir()
        for file in old.iterdir():  # what is on the disk at this moment, as after kill -9
            if not file.name.endswith("-shm"):
                shutil.copyfile(file, target / file.name)
        if crash:
            self.outbox.close()
        self.outbox = SqliteOutbox(target / "outbox.db")
        shutil.rmtree(old)

    @rule(channel=st.sampled_from(CHANNELS[:2]))
    def abandon(self, channel: str) -> None:
        """An action that is no more: its rows become dead letters."""
        assert self.outbox.abandon(channel, "gone") == len(self.pending[channel])
        self.buried += len(self.pending[channel])
        self.pending[channel] = []

    @rule()
    def remove_file(self) -> None:
        """Somebody removes the file: it is written out again, under another epoch that counts anew."""
        before = self.epoch
        for file in (self.root / str(self.life)).glob("outbox.db*"):
            if not file.name.endswith(".lock"):
                file.unlink()
        assert self.outbox.flush()
        self.epoch = self.outbox.epoch
        assert self.epoch != before
        self.sequence, self.acked = list(self.pending[CLOUD_CHANNEL]), 0
        assert self.outbox.acknowledge(before, 1) == 0

    @invariant()
    def nothing_lost_nothing_twice(self) -> None:
        if not hasattr(self, "outbox"):
            return
        for channel in CHANNELS:
            rows = self.outbox.rows(channel, 0, None, 10_000)
            assert [row.alert_id for row in rows] == self.pending[channel]
            ids = [row.row_id for row in rows]
            assert ids == sorted(set(ids))
            assert self.outbox.count(channel, 0, 10_000) == len(rows)
            assert self.outbox.newest(channel) == (ids[-1] if ids else 0)
        assert set(self.outbox.channels()) == {channel for channel in CHANNELS if self.pending[channel]}

    @invariant()
    def the_clouds_sequence_never_stalls(self) -> None:
        if not hasattr(self, "outbox"):
            return
        numbers = [row.seq for row in self.outbox.rows(CLOUD_CHANNEL, 0, None, 10_000)]
        for stone in self.outbox.tombstones(1000):
            numbers += range(stone.from_seq, stone.through_seq + 1)
        assert sorted(numbers) == list(range(self.acked + 1, len(self.sequence) + 1))
        for row in self.outbox.rows(CLOUD_CHANNEL, 0, None, 10_000):
            assert self.sequence[row.seq - 1] == row.alert_id
            assert row.epoch == self.epoch

    @invariant()
    def health_and_position_agree(self) -> None:
        if not hasattr(self, "outbox"):
            return
        health = self.outbox.health()
        assert health.durable
        assert health.dead_letters == self.buried
        assert {name: one.pending for name, one in health.channels.items() if one.pending} == {
            channel: len(ids) for channel, ids in self.pending.items() if ids
        }
        if self.cursor:
            found = self.outbox.resume()
            assert (found.journal, found.cursor, found.state) == ("journal", self.cursor, {"n": self.cursor})

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.outbox.close()
        shutil.rmtree(self.root)


class QuotaMachine(RuleBasedStateMachine):
    """A file that is often at its quota: what is given up is the least severe and oldest, and the cloud is told."""

    QUOTA = 160 << 10

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="vd-quota-", dir=MEMORY if MEMORY.is_dir() else None))
        self.outbox = self.opened()
        self.sent: dict[int, Severity] = {}
        self.taken: set[int] = set()
        self.acked = 0

    def opened(self) -> SqliteOutbox:
        return SqliteOutbox(self.root / "outbox.db", max_bytes=self.QUOTA)

    @rule(number=st.integers(1, 60), severity=st.sampled_from([*Severity, Severity.INFO, Severity.WARNING]))
    def commit(self, number: int, severity: Severity) -> None:
        if severity is Severity.CRITICAL:
            number = min(number, 5)
        first = len(self.sent) + 1
        alerts = [new(n, CHANNELS[0], CLOUD_CHANNEL, severity=severity) for n in range(first, first + number)]
        self.outbox.commit("journal", first, {}, alerts)
        self.sent |= dict.fromkeys(range(first, first + number), severity)

    @rule(number=st.integers(1, 20))
    def deliver(self, number: int) -> None:
        rows = [row.row_id for row in self.outbox.rows(CHANNELS[0], 0, None, number)]
        self.outbox.delivered(CHANNELS[0], rows)
        self.taken |= set(rows)

    @rule(number=st.integers(1, 20))
    def acknowledge(self, number: int) -> None:
        self.acked = min(len(self.sent), self.acked + number)
        self.outbox.acknowledge(self.outbox.epoch, self.acked)

    @rule()
    def reopen(self) -> None:
        self.outbox.close()
        self.outbox = self.opened()

    @invariant()
    def the_least_severe_and_oldest_went(self) -> None:
        kept = [row.row_id for row in self.outbox.rows(CHANNELS[0], 0, None, 10_000)]
        evicted = set(self.sent) - set(kept) - self.taken
        assert Severity.CRITICAL not in {self.sent[n] for n in evicted}
        for severity in (Severity.INFO, Severity.WARNING):
            mine = [n for n in evicted if self.sent[n] is severity]
            # Older ones of the same severity went first, whatever their receivers had of them.
            assert not [n for n in kept if self.sent[n] is severity and n < max(mine, default=0)]
        assert self.outbox.health().used_bytes <= self.QUOTA or "critical" in self.outbox.health().problem

    @invariant()
    def the_clouds_sequence_never_stalls(self) -> None:
        rows = self.outbox.rows(CLOUD_CHANNEL, 0, None, 10_000)
        numbers = [row.seq for row in rows]
        for stone in self.outbox.tombstones(1_000):
            numbers += range(stone.from_seq, stone.through_seq + 1)
        assert sorted(numbers) == list(range(self.acked + 1, len(self.sent) + 1))
        assert all(row.seq == row.row_id for row in rows)

    def teardown(self) -> None:
        self.outbox.close()
        shutil.rmtree(self.root)


QuotaMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestQuotaModel = QuotaMachine.TestCase
OutboxMachine.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOutboxModel = OutboxMachine.TestCase
