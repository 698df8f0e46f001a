"""Reports on their way: at least once, oldest first, no target in the way of another or of an alert."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.actions.receivers import until
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.compose.receivers import make_report_file
from vedette.contracts.errors import DeliveryError
from vedette.contracts.insight import MAX_REPORT_BYTES
from vedette.pipeline import send_reports
from vedette.pipeline.send_reports import LOOK_S, RETRY_FIRST_S, RETRY_MAX_S, STEP, ReportSender
from vedette.ports.action import Action
from vedette.ports.outbox import CLOUD_CHANNEL, OutboxRow, OutgoingReport

FILE = "file:figures.jsonl"


class Cloud:
    def __init__(self) -> None:
        self.taken: list[int] = []
        self.away = False

    def __call__(self, body: bytes) -> None:
        if self.away:
            raise DeliveryError("the broker is away")
        self.taken.append(json.loads(body)["n"])


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    one = SqliteOutbox(tmp_path / "outbox.db")
    yield one
    one.close()


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_reports, "PACE_S", 0.0)


class Bench:
    def __init__(self, outbox: SqliteOutbox, open_file: Callable[[str], Action]) -> None:
        self.cloud = Cloud()
        self.now_s = 100.0
        self.sender = ReportSender(
            outbox, self.cloud, open_file, monotonic=lambda: self.now_s, jitter=lambda: 0.0, start=False
        )

    def drain(self) -> None:
        while self.sender.step() == 0.0:
            continue


@pytest.fixture
def bench(outbox: SqliteOutbox, tmp_path: Path) -> Iterator[Bench]:
    one = Bench(outbox, lambda path: make_report_file(path, tmp_path))
    yield one
    one.sender.close()


def put(outbox: SqliteOutbox, numbers: Sequence[int], *targets: str) -> None:
    body = {n: json.dumps({"report_id": f"{n:032x}", "n": n}).encode() for n in numbers}
    some = [OutgoingReport(f"{n:032x}", targets or (CLOUD_CHANNEL,), body[n]) for n in numbers]
    outbox.commit("j", 1, {}, reports=some)


def lines(folder: Path) -> list[int]:
    return [json.loads(line)["n"] for line in (folder / "figures.jsonl").read_text().splitlines()]


def test_reports_go_out_in_order_and_are_forgotten(outbox: SqliteOutbox, bench: Bench) -> None:
    put(outbox, range(3 * STEP + 5))
    assert bench.sender.step() == 0.0
    assert bench.cloud.taken == list(range(STEP))
    bench.drain()
    assert bench.cloud.taken == list(range(3 * STEP + 5))
    assert outbox.health().reports == 0
    assert bench.sender.health().sent == 3 * STEP + 5
    assert bench.sender.step() == LOOK_S


def test_a_target_that_fails_holds_up_no_other(outbox: SqliteOutbox, bench: Bench, tmp_path: Path) -> None:
    bench.cloud.away = True
    put(outbox, range(30), CLOUD_CHANNEL, FILE)
    bench.drain()
    assert lines(tmp_path) == list(range(30))
    assert bench.cloud.taken == []
    assert "the broker is away" in bench.sender.health().problem
    bench.cloud.away = False
    assert 0 < bench.sender.step() <= RETRY_FIRST_S
    assert bench.cloud.taken == [], "not before the pause is over"
    bench.now_s += RETRY_FIRST_S
    bench.drain()
    assert bench.cloud.taken == list(range(30))
    assert bench.sender.health().problem == ""


def test_pauses_double_up_to_a_minute(outbox: SqliteOutbox, bench: Bench) -> None:
    bench.cloud.away = True
    put(outbox, [1])
    pauses = []
    for _ in range(8):
        pauses.append(bench.sender.step())
        bench.now_s += 61.0
    assert pauses[:5] == [2.0, 4.0, 8.0, LOOK_S, LOOK_S]
    bench.now_s -= 61.0
    trouble = bench.sender._troubles[CLOUD_CHANNEL]
    assert trouble.due_s - bench.now_s == RETRY_MAX_S


def test_what_failed_half_way_goes_on_where_it_stopped(outbox: SqliteOutbox, bench: Bench) -> None:
    put(outbox, range(10))
    take = bench.cloud.taken.append

    def publish(body: bytes) -> None:
        number = json.loads(body)["n"]
        if number == 4 and bench.now_s < 101.0:
            raise DeliveryError("just now")
        take(number)

    bench.sender._publish = publish
    bench.sender.step()
    assert bench.cloud.taken == [0, 1, 2, 3]
    bench.now_s += RETRY_FIRST_S
    bench.drain()
    assert bench.cloud.taken == list(range(10))


def test_a_kill_before_forgetting_repeats_under_the_same_name(outbox: SqliteOutbox, tmp_path: Path) -> None:
    put(outbox, range(5), CLOUD_CHANNEL, FILE)
    killed, after = (Bench(outbox, lambda path: make_report_file(path, tmp_path)) for _ in range(2))
    forget = outbox.reports_sent
    outbox.reports_sent = lambda done: None  # type: ignore[method-assign]
    killed.sender.step()
    outbox.reports_sent = forget  # type: ignore[method-assign]
    after.drain()
    assert killed.cloud.taken == after.cloud.taken == list(range(5))
    assert lines(tmp_path) == list(range(5)), "the file knows what it has"
    for one in (killed, after):
        one.sender.close()


def test_a_report_no_nucleus_takes_does_not_hold_up_the_rest(outbox: SqliteOutbox, bench: Bench) -> None:
    huge = json.dumps({"n": 1, "x": "x" * MAX_REPORT_BYTES}).encode()
    outbox.commit("j", 1, {}, reports=[OutgoingReport("1" * 32, (CLOUD_CHANNEL,), huge)])
    put(outbox, [2])
    bench.drain()
    assert bench.cloud.taken == [2]
    assert outbox.health().reports == 0


def test_a_path_that_is_not_allowed_says_so(outbox: SqliteOutbox, bench: Bench) -> None:
    put(outbox, [1], "file:../elsewhere.jsonl")
    bench.drain()
    assert "not allowed" in bench.sender.health().problem
    assert outbox.health().reports == 1


def test_a_thread_of_its_own_sends_when_rung(outbox: SqliteOutbox, tmp_path: Path) -> None:
    cloud = Cloud()
    sender = ReportSender(outbox, cloud, lambda path: make_report_file(path, tmp_path))
    until(sender._thread.is_alive, "the thread")
    put(outbox, [7])
    sender.wake()
    until(lambda: cloud.taken == [7], "the report")
    sender.close()
    assert not sender._thread.is_alive()


def test_rows_of_a_file_are_given_whole(outbox: SqliteOutbox) -> None:
    got: list[OutboxRow] = []

    class Receiver:
        batch = 1
        together = False

        def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
            got.extend(rows)
            done(rows[0])
            raise DeliveryError("the disk is full")

        def close(self) -> None:
            pass

    bench = Bench(outbox, lambda _path: Receiver())
    put(outbox, [1, 2], FILE)
    bench.sender.step()
    assert [row.alert_id for row in got] == [f"{n:032x}" for n in (1, 2)]
    assert [int(one.report_id, 16) for one in outbox.reports(FILE, 10)] == [2]
    bench.sender.close()
