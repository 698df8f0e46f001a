"""What hooks raised, beside the track batches of the journal."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.samples import batch
from vedette.adapters.journal import files
from vedette.adapters.journal.events import SqliteEventJournal
from vedette.adapters.journal.retention import Follower, JournalRetention
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.contracts.errors import StorageError
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.journal import index_of, row_from_json

EVENT = HookEvent(
    application="app",
    hook="greeter",
    camera="gate",
    app_camera="gate",
    severity="warning",
    message="two people",
    channels=("app/file", "iot_core"),
    key="pair",
    pipeline="app/people",
    seen_by="gate",
    epoch="e1",
    frame_no=7,
    wall_s=1.7e9,
    media_time_s=0.7,
    t_s=12.5,
    label="person",
    track_ids=(1, 2),
    boxes=((1.0, 2.0, 3.0, 4.0), (5.5, 6.0, 7.0, 8.0)),
    confidence=0.9,
    count=2,
    at=1.7e9,
)


@given(
    st.builds(
        HookEvent,
        application=st.text(),
        hook=st.text(),
        camera=st.text(),
        app_camera=st.text(),
        severity=st.text(),
        message=st.text(),
        channels=st.lists(st.text(), max_size=3).map(tuple),
        wall_s=st.floats(allow_nan=False, allow_infinity=False),
        track_ids=st.lists(st.integers(), max_size=3).map(tuple),
        boxes=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 4), max_size=3).map(tuple),
        confidence=st.none() | st.floats(0, 1),
        count=st.none() | st.integers(),
    )
)
def test_what_is_written_is_read(event: HookEvent) -> None:
    assert row_from_json(event.to_json()) == event


def test_the_index_of_an_event_is_that_of_no_pipeline() -> None:
    assert index_of(EVENT) == ("hook:app/greeter", "gate", 1.7e9)
    assert index_of(batch(3))[:2] == ("app/people", "gate")


@pytest.mark.parametrize(
    "row",
    [
        b'{"kind":"insight","v":1}',
        b'{"kind":"hook","v":2}',
        b'{"kind":"hook","v":1}',
        b'{"kind":"hook"',
        EVENT.to_json().replace(b'"count"', b'"county"'),
        EVENT.to_json().replace(b"[5.5,6.0,7.0,8.0]", b"[5.5]"),
        EVENT.to_json().replace(b'["app/file","iot_core"]', b"7"),
        b"[]",
        b"null",
    ],
)
def test_what_is_no_event_is_refused(row: bytes) -> None:
    with pytest.raises(StorageError) as caught:
        row_from_json(row)
    assert caught.value.code == "V402"


def test_events_stand_in_order_among_batches_and_wake_every_reader(short_tmp: Path) -> None:
    journal = short_tmp / "journal.db"
    writer = SqliteJournalWriter(journal, short_tmp / "alerting.bell")
    first = SqliteJournalReader(journal, short_tmp / "alerting.bell")
    second = SqliteJournalReader(journal, short_tmp / "greeter.bell")
    events = SqliteEventJournal(journal, short_tmp / "alerting.bell")
    try:
        writer.append(batch(1))
        for reader in (first, second):
            assert reader.wait(10)
        events.append([EVENT, replace(EVENT, key="other")])
        for reader in (first, second):
            assert reader.wait(10)
            reader.identity()
            assert [row for _, row in reader.read(0, 10)] == [batch(1), EVENT, replace(EVENT, key="other")]
        writer.append(batch(2))
        for reader in (first, second):
            assert reader.wait(10)
        assert [row for _, row in first.read(0, 10)][-1] == batch(2)
        assert first.last("app/people", "gate", 0) == batch(2)
        assert len(first.recent("app/people", "gate", 0)) == 2
    finally:
        for each in (writer, first, second, events):
            each.close()


def test_an_event_is_on_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power cut itself is not made here: what is checked is that the log is flushed after the commit."""
    journal = tmp_path / "journal.db"
    events = SqliteEventJournal(journal, tmp_path / "x.bell")
    order: list[str] = []
    flush = files.flush

    def watched(path: Path, name: str, *, carry_over: bool) -> bool:
        with sqlite3.connect(path) as connection:
            order.append(f"flush with {connection.execute('SELECT count(*) FROM batches').fetchone()[0]} rows")
        connection.close()
        return flush(path, name, carry_over=carry_over)

    monkeypatch.setattr(files, "flush", watched)
    events.append([EVENT])
    order.append("returned")
    events.append([])
    assert order == ["flush with 1 rows", "returned"]
    events.close()


def test_a_disk_that_refuses_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    events = SqliteEventJournal(journal, tmp_path / "x.bell")
    events.append([EVENT])
    blocker = sqlite3.connect(journal, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert events._connection is not None
    events._connection.execute("PRAGMA busy_timeout=50")
    with pytest.raises(StorageError) as caught:
        events.append([EVENT])
    assert caught.value.code == "V401"
    blocker.execute("ROLLBACK")
    blocker.close()
    events.append([EVENT])
    reader = SqliteJournalReader(journal)
    reader.identity()
    assert len(reader.read(0, 10)) == 2
    reader.close()
    events.close()


def test_a_damaged_journal_is_put_aside_and_the_next_append_goes_to_a_new_one(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    events = SqliteEventJournal(journal, tmp_path / "x.bell")
    events.append([EVENT])
    damaged = files.identity(journal)
    files.put_aside(journal, damaged, "test")
    events.append([EVENT])
    assert files.identity(journal) != damaged
    reader = SqliteJournalReader(journal)
    reader.identity()
    assert [row for _, row in reader.read(0, 10)] == [EVENT]
    reader.close()
    events.close()


def filled(journal: Path, rows: int, boxes: int = 0) -> tuple[str, list[int]]:
    writer = SqliteJournalWriter(journal)
    for number in range(rows):
        pipeline = "app/people" if number % 2 else "app/cars"
        writer.append(batch(number, at=1000.0 + number, pipeline=pipeline, boxes=((1.0, 2.0, 3.0, 4.0),) * boxes))
    writer.close()
    reader = SqliteJournalReader(journal)
    name = reader.identity()
    seqs = [seq for seq, _ in reader.read(0, rows)]
    reader.close()
    return name, seqs


def test_age_waits_for_every_follower(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    name, seqs = filled(journal, 40)
    retention = JournalRetention(journal, max_age_s=1.0, max_bytes=1 << 30)

    def step(cursor: int, identity: str = name) -> int:
        follower = Follower("app/greeter", identity, cursor, ("app/people",))
        return retention.step(name, seqs[-1], 1e12, [follower]).rows

    assert step(0) == 0
    assert step(seqs[-1], "another journal") == 0
    assert step(seqs[9]) == 10
    assert step(seqs[-1]) == 30


def test_size_waits_for_nobody_and_says_what_was_lost_to_whom(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    name, seqs = filled(journal, 3000, boxes=20)
    retention = JournalRetention(journal, max_age_s=1e12, max_bytes=1 << 20)
    followers = [
        Follower("app/greeter", name, seqs[99], ("app/people",)),
        Follower("app/counter", name, seqs[-1], ("app/people", "app/cars")),
    ]
    rows = lost = 0
    more = True
    while more:
        pruned = retention.step(name, seqs[-1], 0.0, followers)
        rows, more = rows + pruned.rows, pruned.more
        lost += pruned.unread.get("app/greeter", 0)
        assert set(pruned.unread) <= {"app/greeter"}
        assert pruned.unjudged == 0
    assert rows > 400
    assert lost == (rows - 100) // 2
