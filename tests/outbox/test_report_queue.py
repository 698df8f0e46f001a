"""The queue of insights beside the alerts: bounded, never at an alert's cost, safe in crashes and full disks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.outbox.samples import new
from vedette.adapters.outbox import change, reports, schema
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import Severity
from vedette.ports.outbox import CLOUD_CHANNEL, OutgoingReport

FILE = "file:figures.jsonl"
DAY_S = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1.7e9

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_outbox(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., SqliteOutbox]]:
    made: list[SqliteOutbox] = []

    def make(max_bytes: int = 2 << 30) -> SqliteOutbox:
        made.append(SqliteOutbox(tmp_path / "outbox.db", max_bytes=max_bytes, wall_s=clock))
        return made[-1]

    yield make
    for outbox in made:
        outbox.close()


def report(number: int, *targets: str, size: int = 100) -> OutgoingReport:
    return OutgoingReport(f"{number:032x}", targets or (CLOUD_CHANNEL,), b"x" * size)


def put(outbox: SqliteOutbox, *some: OutgoingReport) -> None:
    outbox.commit("j", 1, {}, reports=some)


def waiting(outbox: SqliteOutbox, target: str = CLOUD_CHANNEL) -> list[int]:
    return [int(one.report_id, 16) for one in outbox.reports(target, 1_000_000)]


def test_reports_wait_for_each_target_by_itself(open_outbox: Any) -> None:
    outbox = open_outbox()
    put(outbox, report(1, CLOUD_CHANNEL, FILE), report(2, FILE), report(3))
    assert outbox.report_targets() == [FILE, CLOUD_CHANNEL]
    assert (waiting(outbox), waiting(outbox, FILE)) == ([1, 3], [1, 2])
    outbox.reports_sent(outbox.reports(FILE, 1))
    assert (waiting(outbox), waiting(outbox, FILE)) == ([1, 3], [2])
    assert outbox.health().reports == 3
    outbox.close()
    again = open_outbox()
    assert (waiting(again), waiting(again, FILE)) == ([1, 3], [2])


def test_a_report_that_waits_is_stored_once(open_outbox: Any) -> None:
    outbox = open_outbox()
    put(outbox, report(1), report(1))
    put(outbox, report(1), report(2))
    assert waiting(outbox) == [1, 2]


def test_reports_are_committed_with_the_position_or_not_at_all(open_outbox: Any, monkeypatch: Any) -> None:
    outbox = open_outbox()
    outbox.commit("j", 1, {"n": 1}, reports=[report(1)])

    def fail(*_: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(reports, "insert", fail)
        outbox.commit("j", 2, {"n": 2}, reports=[report(2)])
        assert not outbox.health().durable
        with sqlite3.connect(f"file:{outbox._path}?mode=ro", uri=True) as connection:
            assert connection.execute("SELECT cursor FROM judge").fetchone() == (1,)
        connection.close()
    outbox._retry_s = 0.0
    assert outbox.flush()
    assert waiting(outbox) == [1, 2]
    assert outbox.resume().cursor == 2


def test_the_oldest_go_after_a_week(open_outbox: Any, clock: Clock) -> None:
    outbox = open_outbox()
    for day in range(10):
        put(outbox, report(day))
        clock.now_s += DAY_S
    assert waiting(outbox) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert outbox.health().reports_dropped == 2


def test_the_oldest_go_where_there_are_too_many(open_outbox: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(reports, "MAX_BYTES", 100_000)
    outbox = open_outbox()
    for begin in range(0, 400, 20):
        put(outbox, *(report(begin + number, size=1_000) for number in range(20)))
    left = waiting(outbox)
    assert left == list(range(400 - len(left), 400))
    assert 30 <= len(left) <= 100
    assert outbox.health().reports_dropped == 400 - len(left)


def test_alerts_are_never_given_up_for_reports(open_outbox: Any) -> None:
    outbox = open_outbox(max_bytes=1 << 20)
    for begin in range(0, 600, 50):
        outbox.commit("j", begin, {}, [new(n, "hook", severity=Severity.INFO) for n in range(begin, begin + 50)])
        put(outbox, *(report(begin * 10 + number, size=7_000) for number in range(40)))
    health = outbox.health()
    assert health.evicted == {}
    assert health.channels["hook"].pending == 600
    assert health.used_bytes <= 1 << 20
    assert health.reports_dropped > 0
    # And all of them before the first alert.
    for begin in range(600, 3000, 100):
        outbox.commit("j", begin, {}, [new(n, "hook", severity=Severity.INFO) for n in range(begin, begin + 100)])
    assert outbox.health().evicted["info"] > 0
    assert outbox.health().reports == 0


def test_what_was_sent_while_the_disk_refuses_is_not_sent_again(open_outbox: Any, monkeypatch: Any) -> None:
    outbox = open_outbox()
    put(outbox, report(1), report(2))

    def fail(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(reports, "sent", fail)
        outbox.reports_sent(outbox.reports(CLOUD_CHANNEL, 1))
        put(outbox, report(3))
        assert waiting(outbox) == [2], "3 waits for the disk"
    outbox._retry_s = 0.0
    assert outbox.flush()
    assert waiting(outbox) == [2, 3]


def test_memory_is_bounded_while_the_disk_refuses(open_outbox: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(change, "REPORTS_IN_MEMORY", 50)
    outbox = open_outbox()

    def fail(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(reports, "insert", fail)
        for number in range(120):
            put(outbox, report(number))
        assert len(outbox._unsaved.reports) == 50
    outbox._retry_s = 0.0
    assert outbox.flush()
    assert waiting(outbox) == list(range(70, 120))
    assert outbox.health().reports_dropped == 70


def test_a_file_of_the_release_before_gets_the_queue(tmp_path: Path, open_outbox: Any) -> None:
    old = schema.open_database(tmp_path / "outbox.db", migrations=schema.MIGRATIONS[:1])
    epoch = old.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
    old.close()
    outbox = open_outbox()
    assert outbox.epoch == epoch
    put(outbox, report(1))
    assert waiting(outbox) == [1]


@pytest.mark.parametrize("how", ["header", "removed"])
def test_reports_are_read_out_of_a_damaged_file(tmp_path: Path, open_outbox: Any, how: str) -> None:
    path = tmp_path / "outbox.db"
    outbox = open_outbox()
    outbox.commit("j", 9, {"n": 1}, [new(n, "hook") for n in range(200)])
    put(outbox, *(report(number, CLOUD_CHANNEL, FILE, size=500) for number in range(100)))
    if how == "removed":
        for file in tmp_path.glob("outbox.db*"):
            if not file.name.endswith(".lock"):
                file.unlink()
        outbox.flush()
    else:
        outbox.close()
        with path.open("r+b") as header:
            header.write(b"\xa5" * 4096)
        outbox = open_outbox()
    assert outbox.damage is not None
    assert waiting(outbox) == waiting(outbox, FILE) == list(range(100))
    assert len(outbox.rows("hook", 0, None, 1000)) == 200


def test_what_is_no_report_stays_in_the_damaged_file() -> None:
    good = (1, CLOUD_CHANNEL, "0" * 32, 1.7e9, 3, b"abc")
    assert reports.plausible(good)
    for place, value in enumerate([None, 5, b"x", "now", 3.5, "abc"]):
        assert not reports.plausible((*good[:place], value, *good[place + 1 :]))
    assert not reports.plausible(good[:-1])


def test_any_page_may_be_bad_and_the_outbox_goes_on(tmp_path: Path, open_outbox: Any) -> None:
    path = tmp_path / "outbox.db"
    outbox = open_outbox()
    outbox.commit("j", 9, {"n": 1}, [new(n, "hook") for n in range(100)])
    put(outbox, *(report(number, size=1_000) for number in range(100)))
    outbox.close()
    whole = path.read_bytes()
    for page in range(1, len(whole) // 4096, 5):
        path.write_bytes(whole)
        with path.open("r+b") as file:
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
        outbox = open_outbox()
        put(outbox, report(1_000))
        assert set(waiting(outbox)) <= {*range(100), 1_000}
        assert 1_000 in waiting(outbox)
        outbox.close()
        for left in tmp_path.glob("outbox*"):
            left.unlink()
