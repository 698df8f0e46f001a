"""N12: an alert about very much, at the head of the queue."""

from __future__ import annotations

import random
import string
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.faults import scorecard
from tests.faults.alerts import new_alert
from tests.faults.scorecard import Control, Row, upper95
from vedette.adapters.actions import iot_core
from vedette.adapters.actions.iot_core import MAX_PAYLOAD_BYTES, envelope
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import Alert, CloudAlert, CloudTombstone, Severity
from vedette.contracts.errors import DeliveryError
from vedette.pipeline.uplink import Uplink
from vedette.ports.outbox import CLOUD_CHANNEL, NewAlert, OutboxRow

#: AWS IoT Core's limit of a message (AWS IoT Core endpoints and quotas).
IOT_CORE_BYTES: Final = 128 << 10


def huge_alert(chance: random.Random) -> Alert:
    """As much of everything as an alert may hold."""
    letters = chance.choice((string.ascii_letters, "äöüß€", "🚨👷🏗", '"\\\n\t', "\x01\x02\x7f", "漢字仮名"))
    number = chance.choice((0, 1, 40, 256))

    def text(length: int) -> str:
        return "".join(chance.choice(letters) for _ in range(length))

    def value() -> float:
        return chance.uniform(0.0, 10_000.0)

    return Alert(
        alert_id=f"{chance.getrandbits(128):032x}",
        device="d" * 128,
        application="a" * 63,
        camera="c" * 63,
        device_camera="c" * 64,
        rule="r" * 63,
        severity=chance.choice(list(Severity)),
        time=datetime.fromtimestamp(1.7e9 + value(), UTC),
        media_time_s=value(),
        label=text(64),
        track_ids=tuple(chance.getrandbits(62) for _ in range(number)),
        boxes=tuple((value(), value(), value(), value()) for _ in range(number)),
        confidence=chance.random(),
        count=chance.getrandbits(30),
        duration_s=value(),
        attributes={f"{n:02d}{text(40)}": text(chance.choice((10, 60, 400))) for n in range(16)},
        epoch="e" * 32,
        frame_no=chance.getrandbits(40),
        message=text(400),
    )


class NarrowLink:
    """A way to the cloud that takes messages of the smallest nucleus only."""

    def __init__(self) -> None:
        self.seqs: list[int] = []

    def send(self, row: OutboxRow) -> None:
        if len(envelope(row)) > MAX_PAYLOAD_BYTES:
            raise DeliveryError("too large", code="V502")
        self.seqs.append(row.seq)

    def send_tombstone(self, _tombstone: CloudTombstone) -> None:
        return


def stuck_behind(folder: Path, alerts: list[Alert]) -> int:
    """How many of ten ordinary alerts behind these never go."""
    folder.mkdir()
    with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
        outbox.commit("j", 1, {}, [NewAlert(alert, (CLOUD_CHANNEL,)) for alert in alerts])
        outbox.commit("j", 2, {}, [new_alert(n, CLOUD_CHANNEL) for n in range(10)])
        link = NarrowLink()
        uplink = Uplink(outbox, link, start=False)
        for _ in range(200):
            uplink.step()
            uplink.acknowledged(outbox.epoch, len(link.seqs))
        return len(outbox.rows(CLOUD_CHANNEL, 0, None, 20))


def test_n12_oversized(tmp_path: Path) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    chance = random.Random(seed)
    number = scorecard.size(quick=300, full=5_000)
    too_large, wrong, largest = 0, 0, 0
    alerts = [huge_alert(chance) for _ in range(number)]
    for alert in alerts:
        body = alert.model_dump_json(exclude_none=True).encode()
        largest = max(largest, len(body))
        payload = envelope(OutboxRow(1, CLOUD_CHANNEL, alert.alert_id, "a/c", body, "e" * 16, 1 << 40))
        too_large += len(payload) > MAX_PAYLOAD_BYTES
        said = CloudAlert.model_validate_json(payload)
        wrong += said.alert_id != alert.alert_id or said.alert.time != alert.time or said.alert.rule != alert.rule
    stuck = stuck_behind(tmp_path / "ours", alerts[:50])
    limit, iot_core.MAX_PAYLOAD_BYTES = iot_core.MAX_PAYLOAD_BYTES, 1 << 20  # type: ignore[misc]
    try:
        control = stuck_behind(tmp_path / "control", alerts[:50])
    finally:
        iot_core.MAX_PAYLOAD_BYTES = limit  # type: ignore[misc]
    row = Row(
        "N12",
        "alerts too large for a nucleus, and alerts stuck behind them",
        too_large + stuck,
        "alerts",
        number,
        "0",
        passed=not (too_large or wrong or stuck) and largest <= IOT_CORE_BYTES and control > 0,
        upper95=upper95(too_large, number),
        control=Control("sent as they are: stuck behind them, of 60", control, control > 0),
        seed=seed,
        notes=f"As much of everything as an alert may hold, {largest:,} bytes at most; to the cloud in "
        f"{MAX_PAYLOAD_BYTES:,} bytes, which every nucleus takes. {wrong} with another id, time or rule.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
