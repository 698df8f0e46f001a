"""The journal against a model: whatever is appended, read, trimmed, crashed or removed, no row is lost or twice."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.journal.samples import batch
from vedette.adapters.journal import sqlite
from vedette.adapters.journal.retention import Follower, JournalRetention
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.contracts.tracks import TrackBatch

#: What is tested here is no property of the disk, so it may be one without flushes.
MEMORY = Path("/dev/shm")
PIPELINES = ("app/people", "app/cars")
MAX_AGE_S = 100.0
WAIT_S = 20.0


class JournalMachine(RuleBasedStateMachine):
    """``rows`` are those that must be there: sequence number → number of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(sqlite, "GROUP_S", 0.0)  # a commit for each append, at once
        self.root = Path(tempfile.mkdtemp(prefix="vd-journal-", dir=MEMORY if MEMORY.is_dir() else None))
        self.life = 0
        self.number = 0
        self.highest = 0
        self.cursor = 0
        self.follower = 0
        self.rows: dict[int, int] = {}
        self.fresh: list[int] = []

    @initialize(read=st.integers(0, 6), followed=st.integers(0, 6))
    def begin(self, read: int, followed: int) -> None:
        (self.root / "0").mkdir()
        self.open()
        self.append([PIPELINES[number % 2] for number in range(6)])
        self.judge(read)
        self.follow(followed)

    def open(self) -> None:
        self.path = self.root / str(self.life) / "journal.db"
        self.writer = SqliteJournalWriter(self.path)
        self.reader = SqliteJournalReader(self.path)
        self.committed = 0
        self.identity = self.reader.identity()

    def close(self) -> None:
        self.writer.close()
        self.reader.close()

    @rule(pipelines=st.lists(st.sampled_from(PIPELINES), min_size=1, max_size=5))
    def append(self, pipelines: list[str]) -> None:
        for pipeline in pipelines:
            self.writer.append(batch(self.number, pipeline=pipeline))
            self.fresh.append(self.number)
            self.number += 1
        self.committed += len(pipelines)
        limit_s = time.monotonic() + WAIT_S
        while self.writer.stats().committed < self.committed:
            assert time.monotonic() < limit_s, self.writer.stats()
            os.sched_yield()
        self.number_new_rows()

    def number_new_rows(self) -> None:
        """Numbers are given in order, and none a second time."""
        assert self.reader.identity() == self.identity
        found = self.reader.read(self.highest, 100)
        assert [row.frame.frame_no for _, row in found if isinstance(row, TrackBatch)] == self.fresh
        for seq, row in found:
            assert seq > self.highest
            assert isinstance(row, TrackBatch)
            self.highest = seq
            self.rows[seq] = row.frame.frame_no
        self.fresh = []

    @rule(limit=st.integers(1, 9))
    def judge(self, limit: int) -> None:
        found = self.reader.read(self.cursor, limit)
        assert [seq for seq, _ in found] == [seq for seq in sorted(self.rows) if seq > self.cursor][:limit]
        self.cursor = max([self.cursor, *(seq for seq, _ in found)])

    @rule(limit=st.integers(1, 9))
    def follow(self, limit: int) -> None:
        above = [seq for seq in sorted(self.rows) if seq > self.follower][:limit]
        self.follower = max([self.follower, *above])

    @rule(old=st.booleans(), follows=st.booleans(), full=st.booleans())
    def trim(self, old: bool, follows: bool, full: bool) -> None:
        retention = JournalRetention(self.path, max_age_s=MAX_AGE_S, max_bytes=1 if full else 1 << 30)
        now_s = 1.7e9 + self.number / 10 + (2 * MAX_AGE_S if old else 0.0)
        followers = [Follower("hook", self.identity, self.follower, (PIPELINES[0],))] if follows else []
        done = min(self.cursor, self.follower) if follows else self.cursor
        pruned = retention.step(self.identity, self.cursor, now_s, followers)
        gone = sorted(self.rows) if full else [seq for seq in sorted(self.rows) if old and seq <= done]
        assert pruned.rows == len(gone)
        assert pruned.unjudged == sum(seq > self.cursor for seq in gone)
        for seq in gone:
            del self.rows[seq]

    @rule(crash=st.booleans())
    def reopen(self, crash: bool) -> None:
        old = self.path.parent
        self.life += 1
        target = self.root / str(self.life)
        target.mkdir()
        if not crash:
            self.close()
        for file in old.iterdir():  # what is on the disk at this moment, as after kill -9
            if file.is_symlink():
                (target / file.name).symlink_to(file.readlink())
            elif not file.name.endswith("-shm"):
                shutil.copyfile(file, target / file.name)
        if crash:
            self.close()
        self.open()
        shutil.rmtree(old)

    @rule()
    def another_writer(self) -> None:
        other = SqliteJournalWriter(self.path)
        other.append(batch(self.number))
        other.close()
        self.fresh.append(self.number)
        self.number += 1
        self.number_new_rows()

    @precondition(lambda self: self.rows)
    @rule()
    def remove(self) -> None:
        """Somebody removes the file: another one begins, and its numbers count anew."""
        self.path.unlink()
        self.writer.append(batch(self.number))
        self.fresh, self.rows = [self.number], {}
        self.number += 1
        self.committed += 1
        limit_s = time.monotonic() + WAIT_S
        while self.writer.stats().committed < self.committed:
            assert time.monotonic() < limit_s
            os.sched_yield()
        assert self.reader.identity() not in ("", self.identity)
        self.identity = self.reader.identity()
        self.highest = self.cursor = self.follower = 0
        self.number_new_rows()

    @invariant()
    def what_is_there_is_what_must_be(self) -> None:
        if not hasattr(self, "reader"):
            return
        assert self.reader.identity() == self.identity
        found = {seq: row.frame.frame_no for seq, row in self.reader.read(0, 10_000) if isinstance(row, TrackBatch)}
        assert found == self.rows
        assert self.reader.newest() == max(self.rows, default=0)
        assert self.reader.unreadable == 0
        assert self.reader.problem == ""

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.close()
        shutil.rmtree(self.root)
        self.patch.undo()


JournalMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestJournalModel = JournalMachine.TestCase
