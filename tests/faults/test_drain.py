"""R7: a long backlog drains to a real broker, and what is new does not wait for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.actions.receivers import Broker
from tests.edge.faults_support import percentile
from tests.faults import scorecard
from tests.faults.alerts import new_alert
from tests.faults.scorecard import Anchor, Control, Row
from tests.faults.test_outage import commit, multiply
from vedette.adapters.actions.mqtt import MqttReceiver
from vedette.adapters.egress import MqttConnection, MqttSettings
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.pipeline import lanes
from vedette.pipeline.deliver import Delivery
from vedette.ports.outbox import OutboxRow

CHANNEL: Final = "app/mqtt"
FRESH_HZ: Final = 10.0


class Timed(MqttReceiver):
    """Notes when the broker acknowledged each fresh alert, and the bytes of the largest message."""

    def __init__(self, connect: Callable[[], MqttConnection], fresh_from: int) -> None:
        super().__init__(connect, "site/alerts")
        self._fresh_from = fresh_from
        self.acknowledged_s: dict[int, float] = {}
        self.largest = 0

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        self.largest = max(self.largest, *(len(row.body) for row in rows))

        def noted(row: OutboxRow) -> None:
            if row.row_id > self._fresh_from:
                self.acknowledged_s[row.row_id] = time.monotonic()
            done(row)

        super().deliver(rows, noted)


def drain(folder: Path, backlog: int, seconds: float) -> tuple[list[float], float, int, float]:
    """Waits of fresh alerts, rows of the backlog that went a second, bytes of the largest message, CPU s per row."""
    folder.mkdir()
    path = folder / "outbox.db"
    with closing(SqliteOutbox(path)) as outbox:
        commit(outbox, [new_alert(n, CHANNEL) for n in range(5_000)])
    multiply(path, backlog)
    broker = Broker(folder)
    settings = MqttSettings("127.0.0.1", broker.port, False, "draining")
    receiver = Timed(lambda: MqttConnection(settings), backlog)
    committed_s: dict[int, float] = {}
    try:
        with closing(SqliteOutbox(path)) as outbox, closing(Delivery(outbox, CHANNEL, receiver)) as delivery:
            begun_s, begun_cpu_s = time.monotonic(), time.process_time()
            while (now_s := time.monotonic()) < begun_s + seconds:
                number = backlog + len(committed_s) + 1
                committed_s[number] = now_s
                outbox.commit("j", number, {}, [new_alert(number, CHANNEL)])
                delivery.wake()
                time.sleep(max(0.0, begun_s + len(committed_s) / FRESH_HZ - time.monotonic()))
            took_s = time.monotonic() - begun_s
            went = delivery.health().delivered - len(receiver.acknowledged_s)
            cpu_s = (time.process_time() - begun_cpu_s) / max(1, delivery.health().delivered)
    finally:
        broker.close()
    end_s = begun_s + took_s
    # What was not acknowledged by the end has waited at least until then.
    waits = [receiver.acknowledged_s.get(number, end_s) - at_s for number, at_s in committed_s.items()]
    return waits, went / took_s, receiver.largest, cpu_s


def test_r7_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    begun_s = time.monotonic()
    caplog.set_level(logging.CRITICAL)
    backlog, seconds = scorecard.size(quick=(60_000, 9.0), full=(1_000_000, 40.0))
    waits, rate, largest, cpu_s = drain(tmp_path / "ours", backlog, seconds)
    with monkeypatch.context() as patched:  # one queue, first in, first out
        patched.setattr(lanes, "OVERTAKE_S", 1e9)
        patched.setattr(lanes, "MAX_COUNTED", 1 << 40)
        late, _, _, _ = drain(tmp_path / "control", max(60_000, backlog // 4), seconds / 3)
    value, control = percentile(waits, 0.99), percentile(late, 0.99)
    row = Row(
        "R7",
        "fresh alert while a backlog drains, p99",
        value,
        "s",
        len(waits),
        "<= 2 s",
        passed=value <= 2.0 and control > 2.0,
        control=Control("one queue, first in, first out", control, control > 2.0),
        anchors=(Anchor("Greengrass spooler, Stream Manager", "behind the whole backlog", "documented"),),
        notes=f"From the commit to mosquitto's acknowledgement, {FRESH_HZ:.0f} fresh alerts/s beside a backlog of "
        f"{backlog:,}; median {percentile(waits, 0.5):.3f} s.",
    )
    drained = Row(
        "R7-drain",
        "alerts of a backlog that mosquitto acknowledged",
        rate,
        "alerts/s",
        int(rate * seconds),
        ">= 5,000/s; no message above 128 KB",
        passed=rate >= 5_000 and largest <= 128 << 10,
        notes=f"Each alert is a message of its own, the largest {largest} bytes; acknowledged ones are noted with a "
        f"flush for every batch of 500. Fresh ones go beside it. {cpu_s * 1e6:.0f} us of CPU of this process for each.",
    )
    took_s = time.monotonic() - begun_s
    scorecard.record(row, took_s)
    scorecard.record(drained, took_s)
    assert row.passed, row
    assert drained.passed, drained
