"""Lanes, retries and the uplink's protocol, with a real outbox and receivers of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.actions.receivers import Broker, Subscriber, WebhookLedger, until
from tests.outbox.samples import new
from vedette.adapters.actions.mqtt import MqttReceiver
from vedette.adapters.actions.webhook import WebhookReceiver
from vedette.adapters.egress import HttpPoster, MqttConnection, MqttSettings
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import CloudTombstone, Severity
from vedette.contracts.errors import DeliveryError
from vedette.pipeline.deliver import Delivery
from vedette.pipeline.lanes import Lanes
from vedette.pipeline.uplink import AHEAD, BACKLOG, IN_FLIGHT, RESEND_FIRST_S, Uplink
from vedette.ports.outbox import CLOUD_CHANNEL, NewAlert, OutboxRow

HOOK = "app/hook"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    one = SqliteOutbox(tmp_path / "outbox.db")
    yield one
    one.close()


def commit(outbox: SqliteOutbox, alerts: Sequence[NewAlert]) -> None:
    outbox.commit("j", 1, {}, alerts)


# -- lanes ------------------------------------------------------------


def take(outbox: SqliteOutbox, lanes: Lanes, row_s: float) -> list[int]:
    rows = lanes.pick()
    outbox.delivered(HOOK, [row.row_id for row in rows])
    lanes.took(len(rows), row_s * len(rows))
    return [row.row_id for row in rows]


def test_a_short_queue_is_worked_off_in_order(outbox: SqliteOutbox) -> None:
    lanes = Lanes(outbox, HOOK, 1)
    commit(outbox, [new(n, HOOK) for n in range(30)])
    order = []
    for number in range(40):
        order += take(outbox, lanes, 0.01)
        commit(outbox, [new(100 + number, HOOK)])
    assert order == list(range(1, 41))


def test_fresh_alerts_overtake_a_backlog_and_both_lanes_stay_in_order(outbox: SqliteOutbox) -> None:
    lanes = Lanes(outbox, HOOK, 10)
    for begin in range(0, 2000, 500):
        commit(outbox, [new(n, HOOK) for n in range(begin, begin + 500)])
    order = take(outbox, lanes, 0.01)
    waits: dict[int, int] = {}
    for number in range(100):
        commit(outbox, [new(10_000 + number, HOOK)])
        row_id = 2001 + number
        for attempt in range(3):
            got = take(outbox, lanes, 0.01)
            order += got
            if row_id in got:
                waits[row_id] = attempt
                break
    assert set(waits) == set(range(2001, 2101)), "every fresh one within three batches"
    backlog = [row_id for row_id in order if row_id <= 2000]
    fresh = [row_id for row_id in order if row_id > 2000]
    assert backlog == sorted(backlog)
    assert fresh == sorted(fresh)
    assert len(backlog) > 100, "the backlog goes on meanwhile"
    while got := take(outbox, lanes, 0.01):
        order += got
    assert sorted(order) == list(range(1, 2101))
    assert outbox.channels() == []


def test_a_receiver_that_is_always_too_slow_still_gets_on_with_its_backlog(outbox: SqliteOutbox) -> None:
    lanes = Lanes(outbox, HOOK, 1)
    order = []
    for number in range(200):
        commit(outbox, [new(number * 5 + part, HOOK) for part in range(5)])
        order += take(outbox, lanes, 1.0)
    assert len(order) == len(set(order)) == 200
    assert 1 in order
    assert max(order) > 900, "fresh ones get through"


# -- deliveries ------------------------------------------------------------


def deliver_to(ledger: WebhookLedger, outbox: SqliteOutbox, timeout_s: float = 1.0) -> Delivery:
    poster = HttpPoster(ledger.url, allow_private=True, timeout_s=timeout_s)
    return Delivery(outbox, HOOK, WebhookReceiver(poster, ledger.url, get_secret=lambda _: {}))


@pytest.fixture
def ledger() -> Iterator[WebhookLedger]:
    one = WebhookLedger()
    yield one
    one.close()


def all_cameras(first: int, last: int, channel: str = HOOK) -> list[NewAlert]:
    return [new(n, channel, camera=f"camera-{n % 3}") for n in range(first, last)]


def check_ledger(ids: list[str], times: list[tuple[str, float]], wanted: list[NewAlert]) -> None:
    assert sorted(ids) == sorted(one.alert.alert_id for one in wanted)
    for camera in ("camera-0", "camera-1", "camera-2"):
        mine = [time_s for name, time_s in times if name == camera]
        assert mine == sorted(mine)


def test_a_webhook_receiver_down_and_up_again(outbox: SqliteOutbox, ledger: WebhookLedger) -> None:
    delivery = deliver_to(ledger, outbox)
    try:
        wanted = all_cameras(0, 10)
        commit(outbox, wanted)
        delivery.wake()
        until(lambda: len(ledger.ids()) == 10)
        ledger.down()
        commit(outbox, all_cameras(10, 40))
        delivery.wake()
        until(lambda: delivery.health().failures >= 3)
        assert "cannot be reached" in delivery.health().problem
        assert outbox.health().channels[HOOK].pending == 30
        ledger.up()
        until(lambda: outbox.channels() == [], "everything arrives afterwards", 10)
        wanted = all_cameras(0, 40)
        check_ledger(ledger.ids(), [(one["camera"], one["media_time_s"]) for one in ledger.taken], wanted)
        until(lambda: delivery.health().problem == "")
    finally:
        delivery.close()


def test_errors_hangs_and_refusals_of_a_receiver(outbox: SqliteOutbox, ledger: WebhookLedger) -> None:
    waited = new(5, HOOK, camera="camera-2").alert.alert_id
    said = {2: 500, 3: 503, 7: 429}

    def answer(number: int) -> tuple[int, dict[str, str]]:
        return said.get(number, 200), {}

    ledger.answer = answer
    delivery = deliver_to(ledger, outbox, timeout_s=0.3)
    try:
        commit(outbox, all_cameras(0, 5))
        delivery.wake()
        until(lambda: outbox.channels() == [])
        assert len(ledger.ids()) == 5
        ledger.hang.set()
        commit(outbox, all_cameras(5, 7))
        delivery.wake()
        until(lambda: "in time" in delivery.health().problem)
        ledger.hang.clear()
        until(lambda: outbox.channels() == [])
        ledger.answer = lambda _: (422 if ledger.requests and len(ledger.requests) % 2 else 200, {})
        commit(outbox, all_cameras(7, 11))
        delivery.wake()
        until(lambda: outbox.channels() == [])
        until(lambda: outbox.health().dead_letters == 2)  # the count of what waits is ahead of the disk
        assert waited in ledger.ids()
    finally:
        ledger.hang.clear()
        delivery.close()


def test_one_receiver_that_hangs_delays_no_other(outbox: SqliteOutbox, ledger: WebhookLedger) -> None:
    other = WebhookLedger()
    poster = HttpPoster(other.url, allow_private=True)
    slow = deliver_to(ledger, outbox, timeout_s=5.0)
    quick = Delivery(outbox, "app/other", WebhookReceiver(poster, other.url, get_secret=lambda _: {}))
    try:
        ledger.hang.set()
        commit(outbox, [new(n, HOOK, "app/other") for n in range(20)])
        slow.wake()
        quick.wake()
        until(lambda: len(other.ids()) == 20, "the other has all", 4.0)
        assert ledger.ids() == []
    finally:
        ledger.hang.clear()
        slow.close()
        quick.close()
        other.close()


def test_a_broker_down_and_up_again(outbox: SqliteOutbox, tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    subscriber = Subscriber(broker.port, "site/alerts")
    settings = MqttSettings("127.0.0.1", broker.port, False, "delivering")
    delivery = Delivery(outbox, "app/mqtt", MqttReceiver(lambda: MqttConnection(settings), "site/alerts"))
    try:
        commit(outbox, all_cameras(0, 10, "app/mqtt"))
        delivery.wake()
        until(lambda: len(subscriber.messages) == 10)
        subscriber.settle()
        broker.down()
        commit(outbox, all_cameras(10, 60, "app/mqtt"))
        delivery.wake()
        until(lambda: delivery.health().failures >= 1)
        assert outbox.health().channels["app/mqtt"].pending == 50
        broker.up()
        subscriber.wait()
        until(lambda: outbox.channels() == [], "everything delivered", 12)
        until(lambda: delivery.health().delivered == 60)
        until(lambda: len(set(subscriber.ids())) == 60, "everything arrives")
        seen = [(one["camera"], one["media_time_s"]) for one in subscriber.messages]
        check_ledger(subscriber.ids(), seen, all_cameras(0, 60))
    finally:
        delivery.close()
        subscriber.close()
        broker.close()


# -- uplink ------------------------------------------------------------


class Cloud:
    """The ledger as the uplink sees it; nothing is acknowledged until asked."""

    def __init__(self) -> None:
        self.alerts: list[OutboxRow] = []
        self.stones: list[CloudTombstone] = []
        self.online = True

    def send(self, row: OutboxRow) -> None:
        if not self.online:
            raise DeliveryError("away", code="V502")
        self.alerts.append(row)

    def send_tombstone(self, tombstone: CloudTombstone) -> None:
        if not self.online:
            raise DeliveryError("away", code="V502")
        self.stones.append(tombstone)

    def through(self) -> int:
        """What a ledger with everything published so far would acknowledge."""
        have = {row.seq for row in self.alerts}
        for stone in self.stones:
            have |= set(range(stone.from_seq, stone.through_seq + 1))
        number = 0
        while number + 1 in have:
            number += 1
        return number


class Bench:
    def __init__(self, outbox: SqliteOutbox) -> None:
        self.now_s = 1000.0
        self.cloud = Cloud()
        self.outbox = outbox
        self.uplink = Uplink(outbox, self.cloud, monotonic=lambda: self.now_s, jitter=lambda: 0.0, start=False)

    def run(self) -> None:
        """Until there is nothing to do at this moment."""
        for _ in range(10_000):
            if self.uplink.step():
                return
        raise AssertionError("the uplink never rests")


@pytest.fixture
def bench(outbox: SqliteOutbox) -> Bench:
    return Bench(outbox)


def cloud_alerts(first: int, last: int, severity: Severity = Severity.WARNING) -> list[NewAlert]:
    return [new(n, CLOUD_CHANNEL, severity=severity) for n in range(first, last)]


def test_rows_stay_until_acknowledged_and_are_sent_again_ever_more_rarely(bench: Bench) -> None:
    commit(bench.outbox, cloud_alerts(0, 3))
    bench.run()
    assert [row.seq for row in bench.cloud.alerts] == [1, 2, 3]
    times = []
    for _ in range(2000):
        bench.now_s += 1
        before = len(bench.cloud.alerts)
        bench.run()
        if len(bench.cloud.alerts) > before:
            assert [row.seq for row in bench.cloud.alerts[before:]] == [1, 2, 3]
            times.append(bench.now_s - 1000.0)
    assert times[:5] == [30.0, 90.0, 210.0, 450.0, 750.0]
    assert len(bench.outbox.rows(CLOUD_CHANNEL, 0, None, 10)) == 3
    bench.uplink.acknowledged("another epoch", 3)
    bench.run()
    assert len(bench.outbox.rows(CLOUD_CHANNEL, 0, None, 10)) == 3
    bench.uplink.acknowledged(bench.outbox.epoch, 2)
    bench.run()
    assert [row.seq for row in bench.outbox.rows(CLOUD_CHANNEL, 0, None, 10)] == [3]
    assert bench.uplink.health().delivered == 2


def test_what_is_on_its_way_is_bounded_and_the_newest_go_ahead(bench: Bench) -> None:
    for begin in range(0, 3000, 500):
        commit(bench.outbox, cloud_alerts(begin, begin + 500))
    bench.run()
    seqs = [row.seq for row in bench.cloud.alerts]
    assert [seq for seq in seqs if seq <= IN_FLIGHT] == list(range(1, IN_FLIGHT + 1))
    assert len(seqs) <= IN_FLIGHT + AHEAD
    commit(bench.outbox, cloud_alerts(3000, 3005))
    bench.run()
    assert {3001, 3002, 3003, 3004, 3005} <= {row.seq for row in bench.cloud.alerts}
    assert len(bench.cloud.alerts) <= IN_FLIGHT + AHEAD
    assert BACKLOG < 2700
    while bench.outbox.channels():
        bench.uplink.acknowledged(bench.outbox.epoch, bench.cloud.through())
        bench.run()
    assert len({row.alert_id for row in bench.cloud.alerts}) == 3005
    assert len(bench.cloud.alerts) == 3005, "nothing was sent twice without a reason"


def test_the_cloud_away_and_back(bench: Bench) -> None:
    bench.cloud.online = False
    commit(bench.outbox, cloud_alerts(0, 5))
    assert 0 < bench.uplink.step() <= 5.0
    assert bench.uplink.health().problem == "away"
    bench.cloud.online = True
    bench.run()
    assert [row.seq for row in bench.cloud.alerts] == [1, 2, 3, 4, 5]
    assert bench.uplink.health().problem == ""


def test_given_up_rows_do_not_stall_the_sequence(bench: Bench) -> None:
    commit(bench.outbox, cloud_alerts(0, 10))
    for row in bench.outbox.rows(CLOUD_CHANNEL, 2, 5, 10):
        bench.outbox.refused(row, "poison")
    bench.run()
    assert bench.cloud.through() == 10
    assert [(s.from_seq, s.through_seq) for s in bench.cloud.stones] == [(3, 5)]
    bench.uplink.acknowledged(bench.outbox.epoch, 10)
    bench.run()
    assert bench.outbox.tombstones(10) == []
    bench.now_s += RESEND_FIRST_S * 2
    bench.run()
    assert len(bench.cloud.stones) == 1


def test_tombstones_are_sent_again_too(bench: Bench) -> None:
    commit(bench.outbox, cloud_alerts(0, 2))
    bench.outbox.refused(bench.outbox.rows(CLOUD_CHANNEL, 0, None, 1)[0], "poison")
    bench.run()
    bench.now_s += RESEND_FIRST_S + 1
    bench.run()
    assert len(bench.cloud.stones) == 2


def test_a_restart_begins_with_the_oldest(bench: Bench) -> None:
    commit(bench.outbox, cloud_alerts(0, 5))
    bench.run()
    again = Bench(bench.outbox)
    again.run()
    assert [row.seq for row in again.cloud.alerts] == [1, 2, 3, 4, 5]


def test_an_epoch_that_changed_counts_anew(bench: Bench, tmp_path: Path) -> None:
    commit(bench.outbox, cloud_alerts(0, 5))
    bench.run()
    old = bench.outbox.epoch
    for file in tmp_path.glob("outbox.db*"):
        if not file.name.endswith(".lock"):
            file.unlink()
    bench.outbox.flush()
    bench.uplink.acknowledged(old, 5)
    bench.run()
    assert bench.outbox.epoch != old
    assert [(row.epoch == old, row.seq) for row in bench.cloud.alerts] == [
        *((True, seq) for seq in range(1, 6)),
        *((False, seq) for seq in range(1, 6)),
    ]
    assert len(bench.outbox.rows(CLOUD_CHANNEL, 0, None, 10)) == 5


def test_it_runs_by_itself(outbox: SqliteOutbox) -> None:
    cloud = Cloud()
    uplink = Uplink(outbox, cloud)
    done = threading.Event()
    answer: Callable[[], None] = lambda: uplink.acknowledged(outbox.epoch, cloud.through())  # noqa: E731
    commit(outbox, cloud_alerts(0, 20))
    uplink.wake()
    until(lambda: len(cloud.alerts) == 20)
    answer()
    until(lambda: outbox.channels() == [])
    done.set()
    uplink.close()
