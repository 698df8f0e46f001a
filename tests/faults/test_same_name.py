"""N13: another client at the same broker has our identifier, and comes back each time that it is thrown out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.actions.receivers import Broker, Subscriber, until
from tests.faults import scorecard
from tests.faults.scorecard import Anchor, Control, Row, upper95
from tests.faults.test_brokers import delivering, put
from vedette.adapters.egress import mqtt as egress_mqtt
from vedette.adapters.egress.mqtt import MqttConnection

#: The identifier that ``delivering`` uses.
NAME: Final = "delivering"
WORDS: Final = "the same identifier"
#: In 30 s, in proportion for other times: pauses of 2, 4, 8, 16 s, and the first time of all.
GOAL: Final = 6


@dataclass
class Found:
    """What one side did, and what became of its alerts."""

    connects: int = 0
    lost: int = 0
    sent: int = 0
    told: bool = False


@contextmanager
def rival(port: int) -> Iterator[None]:
    """A client with our identifier that always wants to be connected, with the pauses that most have."""
    from awscrt import mqtt5

    stopped = threading.Event()
    client = mqtt5.Client(
        mqtt5.ClientOptions(
            host_name="127.0.0.1",
            port=port,
            connect_options=mqtt5.ConnectPacket(client_id=NAME),
            min_reconnect_delay_ms=200,
            max_reconnect_delay_ms=1_500,
            on_lifecycle_event_stopped_fn=lambda _: stopped.set(),
            disable_metrics=True,
        )
    )
    client.start()
    try:
        yield
    finally:
        client.stop()
        stopped.wait(10)


def beside_a_rival(folder: Path, seconds: float, monkeypatch: pytest.MonkeyPatch) -> Found:
    """Alerts come all the time while the other is there; what has not arrived by then arrives afterwards."""
    folder.mkdir()
    found, connects = Found(), list[float]()
    up = MqttConnection._up

    def counted(connection: MqttConnection) -> None:
        connects.append(time.monotonic())
        up(connection)

    monkeypatch.setattr(MqttConnection, "_up", counted)
    broker = Broker(folder)
    subscriber = Subscriber(broker.port, "site/alerts")
    try:
        with delivering(folder / "box", broker.port) as (outbox, delivery):
            wanted = put(outbox, delivery, 0, 1)
            until(lambda: len(subscriber.ids()) == 1, "the first one")
            connects.clear()
            with rival(broker.port):
                end_s, number = time.monotonic() + seconds, 0
                while time.monotonic() < end_s:
                    number += 1
                    given_s = time.monotonic()
                    wanted |= put(outbox, delivery, 100 * number, 2)
                    while time.monotonic() < min(end_s, given_s + 0.5):
                        found.told |= WORDS in delivery.health().problem
                        time.sleep(0.02)
                found.connects = len(connects)
            until(lambda: outbox.channels() == [], "everything is noted", 60)
            until(lambda: wanted <= set(subscriber.ids()), "everything arrives", 10)
    except AssertionError:
        pass
    finally:
        subscriber.close()
        broker.close()
    found.sent, found.lost = len(wanted), len(wanted - set(subscriber.ids()))
    return found


@pytest.mark.timeout(300)
def test_n13_the_same_identifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun_s, seconds = time.monotonic(), scorecard.size(quick=10.0, full=30.0)
    caplog.set_level(logging.CRITICAL)
    found = [
        beside_a_rival(tmp_path / f"pauses-{number}", seconds, monkeypatch)
        for number in range(scorecard.size(quick=1, full=3))
    ]
    with monkeypatch.context() as patched:
        patched.setattr(egress_mqtt, "MQTT_THROWN_OUT_S", (0.0, 0.0))
        hasty = beside_a_rival(tmp_path / "hasty", seconds, monkeypatch)
    most, lost, sent = (
        max(one.connects for one in found),
        sum(one.lost for one in found),
        sum(one.sent for one in found),
    )
    told = all(one.told for one in found)
    row = Row(
        "N13",
        f"connections in {seconds:.0f} s beside a client with the same identifier, most",
        most,
        "connections",
        len(found),
        f"<= {GOAL}; 0 alerts lost; told in words",
        passed=most <= GOAL and not lost and told and hasty.connects > GOAL,
        upper95=upper95(sum(one.connects > GOAL for one in found), len(found)),
        control=Control("no pause but the usual one", hasty.connects, hasty.connects > GOAL),
        anchors=(Anchor("awscrt with the same pauses", f"{hasty.connects} in {seconds:.0f} s", "measured"),),
        notes=f"{lost} of {sent} alerts lost once the other has gone, in the control {hasty.lost} of {hasty.sent}; mosquitto, MQTT 5. "
        f"{'Every' if told else 'Not every'} time the receiver's state said: {WORDS}. Alerts wait for the pause meanwhile, "
        f"{egress_mqtt.MQTT_THROWN_OUT_S[1]:.0f} s at most.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (row, found, hasty)
