"""N2, N3, N4: brokers that stop, answer nonsense, refuse."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.actions.receivers import Broker, Subscriber, until
from tests.faults import mqtt_wire as wire
from tests.faults import scorecard
from tests.faults.alerts import new_alert
from tests.faults.judging_broker import Answers, JudgingBroker
from tests.faults.scorecard import Anchor, Control, Row, upper95
from vedette.adapters.actions import mqtt as mqtt_action
from vedette.adapters.actions.mqtt import PAYLOAD_FORMAT_INVALID, MqttReceiver
from vedette.adapters.egress import MqttConnection, MqttSettings
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.errors import DeliveryError
from vedette.pipeline.deliver import Delivery

CHANNEL = "app/mqtt"
NOT_AUTHORIZED = 135
#: Refusals of MQTT 5 (3.4.2.1), and what must become of the alert.
KEPT = {128: "unspecified", 131: "implementation specific", 135: "not authorized", 144: "topic name invalid"} | {
    145: "packet identifier in use",
    151: "quota exceeded",
}


@contextmanager
def delivering(folder: Path, port: int) -> Iterator[tuple[SqliteOutbox, Delivery]]:
    """An outbox and the thread that sends what is in it to a broker."""
    folder.mkdir(exist_ok=True)
    settings = MqttSettings("127.0.0.1", port, False, "delivering")
    with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
        delivery = Delivery(outbox, CHANNEL, MqttReceiver(lambda: MqttConnection(settings), "site/alerts"))
        with closing(delivery):
            yield outbox, delivery


def put(outbox: SqliteOutbox, delivery: Delivery, first: int, number: int) -> set[str]:
    alerts = [new_alert(n, CHANNEL) for n in range(first, first + number)]
    outbox.commit("j", first, {}, alerts)
    delivery.wake()
    return {one.alert.alert_id for one in alerts}


def test_n2_stopped_broker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun_s = time.monotonic()
    caplog.set_level(logging.CRITICAL)
    trials = scorecard.size(quick=1, full=3)
    noticed_s: list[float] = []
    broker = Broker(tmp_path)
    subscriber = Subscriber(broker.port, "site/alerts")
    try:
        with delivering(tmp_path / "box", broker.port) as (outbox, delivery):
            wanted = put(outbox, delivery, 0, 20)
            until(lambda: set(subscriber.ids()) >= wanted, "the first ones")
            for trial in range(trials):
                os.kill(broker.pid, signal.SIGSTOP)
                try:
                    stopped_s = time.monotonic()
                    wanted |= put(outbox, delivery, 100 + 100 * trial, 50)
                    until(lambda: delivery.health().failures > 0, "the silence is noticed", 30)
                    noticed_s.append(time.monotonic() - stopped_s)
                    in_flight = outbox.health().channels[CHANNEL].pending
                finally:
                    os.kill(broker.pid, signal.SIGCONT)
                until(lambda: len(set(subscriber.ids())) >= 20 + 50 * len(noticed_s), "everything arrives", 40)
                until(lambda: outbox.channels() == [], "everything is noted", 40)
    finally:
        subscriber.close()
        broker.close()
    lost = len(wanted - set(subscriber.ids()))
    row = Row(
        "N2",
        "broker stopped with its connections open: noticed after, longest",
        max(noticed_s),
        "s",
        trials,
        "<= 15 s; 0 lost",
        passed=max(noticed_s) <= 15 and lost == 0 and in_flight == 50,
        anchors=(Anchor("Greengrass nucleus, keep-alive 60 s", "up to 90 s", "documented"),),
        notes=f"{lost} of {len(wanted)} alerts lost; {in_flight} of 50 were kept meanwhile; mosquitto, SIGSTOP.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


def nonsense(chance: random.Random) -> dict[str, Callable[[wire.Publish, int], Answers]]:
    """Ways to acknowledge that no broker should have."""
    held: list[int] = []

    def backwards(message: wire.Publish, _: int) -> Answers:
        held.append(message.packet_id)
        if len(held) < 10:
            return []
        answers = [(0.0, wire.puback(one)) for one in reversed(held)]
        held.clear()
        return answers

    def missing(message: wire.Publish, number: int) -> Answers:
        return [] if number == 5 else [(0.0, wire.puback(message.packet_id))]

    return {
        "twice": lambda message, _: [(0.0, wire.puback(message.packet_id) * 2)],
        "of unknown numbers": lambda message, _: [
            (0.0, wire.puback(chance.randrange(30_000, 60_000)) + wire.puback(message.packet_id))
        ],
        "late": lambda message, _: [(0.2 * chance.random(), wire.puback(message.packet_id))],
        "backwards": backwards,
        "one missing": missing,
    }


def test_n3_acknowledgements(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    caplog.set_level(logging.CRITICAL)
    ways = nonsense(random.Random(seed))
    if scorecard.profile() == "quick":
        del ways["one missing"]  # half a minute of waiting
    number, lost, repeats = scorecard.size(quick=40, full=200), 0, 0
    for name, judge in ways.items():
        with closing(JudgingBroker()) as broker:
            broker.judge = judge
            with delivering(tmp_path / name.replace(" ", "-"), broker.port) as (outbox, delivery):
                wanted = put(outbox, delivery, 0, number)
                until(lambda box=outbox: box.channels() == [], f"acknowledged {name}", 60)  # type: ignore[misc]
            lost += len(wanted - set(broker.published))
            repeats += len(broker.published) - len(set(broker.published))
    control = silent_loss(tmp_path / "control", number)
    row = Row(
        "N3",
        f"alerts lost by acknowledgements {', '.join(ways)}",
        lost,
        "alerts",
        number * len(ways),
        "0",
        passed=lost == 0 and control > 0,
        upper95=upper95(lost, number * len(ways)),
        control=Control("a receiver that takes handing over for delivery, broker breaks off", control, control > 0),
        seed=seed,
        notes=f"{repeats} repeats on the wire, each with the id of its first.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


def silent_loss(folder: Path, number: int) -> int:
    """Alerts that a receiver loses which does not wait for acknowledgements."""

    class Hasty(MqttReceiver):
        def deliver(self, rows: Any, done: Any) -> None:
            if self._connection is None:
                self._connection = self._connect()
            if not self._connection.wait_connected(5):
                raise DeliveryError("away", code="V502")
            for row in rows:
                self._connection.publish(self._topic, row.body).add_done_callback(lambda future: future.exception())
                done(row)

    folder.mkdir()
    with closing(JudgingBroker()) as broker, closing(SqliteOutbox(folder / "outbox.db")) as outbox:

        def judge(message: wire.Publish, count: int) -> Answers:
            if count == number // 2:
                broker._drop()
            return [(0.0, wire.puback(message.packet_id))]

        broker.judge = judge
        settings = MqttSettings("127.0.0.1", broker.port, False, "hasty")
        with closing(Delivery(outbox, CHANNEL, Hasty(lambda: MqttConnection(settings), "site/alerts"))) as delivery:
            wanted = put(outbox, delivery, 0, number)
            until(lambda: outbox.channels() == [], "all handed over")
            until(lambda: len(broker.published) >= number // 2, "half arrived")
        return len(wanted - set(broker.published))


def refused_by(folder: Path, code: int, *, poison: int | None) -> tuple[int, int, str]:
    """Alerts that are gone without having arrived, dead letters, and what was said, where a broker refuses."""
    mended: list[bool] = []

    def judge(message: wire.Publish, _: int) -> Answers:
        number = round(json.loads(message.payload)["media_time_s"])
        refuse = number == poison if poison is not None else not mended
        return [(0.0, wire.puback(message.packet_id, code if refuse else 0))]

    with closing(JudgingBroker()) as broker:
        broker.judge = judge
        taken = broker.published
        with delivering(folder, broker.port) as (outbox, delivery):
            wanted = put(outbox, delivery, 0, 20)
            if poison is None:
                until(lambda: delivery.health().failures >= 2 or outbox.health().dead_letters > 0, "refused")
                problem = delivery.health().problem
                before = len(taken)
                mended.append(True)
                until(lambda: outbox.channels() == [], "taken afterwards", 30)
                taken = taken[before:]
            else:
                until(lambda: outbox.channels() == [] and outbox.health().dead_letters > 0, "poison set apart", 30)
                problem = ""
            dead = outbox.health().dead_letters
    return len(wanted - set(taken)), dead, problem


def test_n4_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    begun_s = time.monotonic()
    caplog.set_level(logging.CRITICAL)
    deleted, problems = 0, []
    for code, name in KEPT.items():
        gone, dead, problem = refused_by(tmp_path / str(code), code, poison=None)
        deleted += gone + dead
        if not problem:
            problems.append(f"{name}: nothing was said")
    gone, dead, _ = refused_by(tmp_path / "poison", PAYLOAD_FORMAT_INVALID, poison=7)
    if (gone, dead) != (0, 1):
        problems.append(f"poison: {gone} gone, {dead} dead letters")
    with monkeypatch.context() as patched:  # as the nucleus' spooler does it
        patched.setattr(mqtt_action, "PAYLOAD_FORMAT_INVALID", NOT_AUTHORIZED)
        gone, dead, _ = refused_by(tmp_path / "control", NOT_AUTHORIZED, poison=None)
    row = Row(
        "N4",
        "alerts deleted on a refusal that may pass",
        deleted,
        "alerts",
        20 * len(KEPT),
        "0; poison kept apart",
        passed=deleted == 0 and not problems and gone + dead > 0,
        control=Control("not authorized taken as final", gone + dead, gone + dead > 0),
        anchors=(Anchor("Greengrass nucleus on NOT_AUTHORIZED", "deletes the spooled message", "documented"),),
        notes=f"Reason codes {', '.join(map(str, KEPT))}, then taken; {PAYLOAD_FORMAT_INVALID} for one of 20 for ever: "
        f"a dead letter, the others arrive. {'; '.join(problems)}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
