"""R5: once in the ledger, whatever the broker does."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults import scorecard
from tests.faults.alerts import new_alert
from tests.faults.plain_bus import PlainBus
from tests.faults.scorecard import Anchor, Control, Row, upper95
from tests.faults.test_outage import commit, multiply
from vedette.adapters.actions.iot_core import CloudLink
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.pipeline.uplink import Uplink
from vedette.ports.outbox import CLOUD_CHANNEL, OutboxRow

#: The uplink's clock runs so much faster: what waits 30 s for another try waits 0.3 s.
HASTE: Final = 100
LIMIT_S: Final = 240.0


class HostileBroker:
    """The program, running."""

    def __init__(self, ledger: Path, seed: int, trouble: float) -> None:
        asked = {"port": 0, "ledger": str(ledger), "thing": "thing", "seed": seed, "trouble": trouble}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.hostile_broker", json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=scorecard.REPOSITORY,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[1])

    def close(self) -> dict[str, int]:
        """End it; its counters."""
        said, _ = self._process.communicate(timeout=30)
        return dict(json.loads(said))


class Trusting(CloudLink):
    """A faulty implementation: what was published counts as delivered, as it does for a nucleus' spooler."""

    uplink: Uplink
    through = 0
    beyond: set[int] = set()  # noqa: RUF012 - one link in this program

    def send(self, row: OutboxRow) -> None:
        super().send(row)
        self.beyond.add(row.seq)
        while self.through + 1 in self.beyond:
            self.through += 1
            self.beyond.remove(self.through)
        self.uplink.acknowledged(row.epoch, self.through)


@dataclass(frozen=True)
class Outcome:
    """What was in the ledger at the end."""

    sent: int
    lost: int
    twice: int
    seconds: float
    counts: dict[str, Any]


def drain(folder: Path, alerts: int, seed: int, link_type: type[CloudLink] = CloudLink) -> Outcome:
    """Send so many alerts through a hostile broker, and compare the ledger with them."""
    folder.mkdir()
    path, ledger = folder / "outbox.db", folder / "ledger.db"
    with closing(SqliteOutbox(path)) as outbox:
        commit(outbox, [new_alert(n, CLOUD_CHANNEL) for n in range(min(alerts, 5_000))])
    multiply(path, alerts)
    broker = HostileBroker(ledger, seed, 1.0)
    begun_s = time.monotonic()
    with closing(SqliteOutbox(path)) as outbox, closing(PlainBus(broker.port)) as bus:
        wanted = {row.alert_id for row in outbox.rows(CLOUD_CHANNEL, 0, None, alerts)}
        assert bus.wait_connected(10)
        link = link_type(bus.as_bus(), "thing")
        uplink = Uplink(outbox, link, monotonic=lambda: time.monotonic() * HASTE, start=False)
        if isinstance(link, Trusting):
            link.uplink = uplink
        link.listen(uplink.acknowledged)
        while outbox.channels() and time.monotonic() < begun_s + LIMIT_S:
            pause_s = uplink.step()
            if pause_s:
                time.sleep(0.002)
        waiting = {row.alert_id for row in outbox.rows(CLOUD_CHANNEL, 0, None, alerts)}
        took_s = time.monotonic() - begun_s
        settle(ledger)
    counts = broker.close()
    with closing(sqlite3.connect(ledger)) as connection:
        found = [row[0] for row in connection.execute("SELECT alert_id FROM alerts")]
    lost, twice = len(wanted - waiting - set(found)), len(found) - len(set(found))
    return Outcome(alerts - len(waiting), lost, twice, took_s, counts)


def settle(ledger: Path) -> None:
    """Wait until nothing more comes."""
    before, still = -1, 0
    with closing(sqlite3.connect(ledger, timeout=10)) as connection:
        while still < 5:
            now = int(connection.execute("SELECT count(*) FROM alerts").fetchone()[0])
            still, before = (still + 1, now) if now == before else (0, now)
            time.sleep(0.2)


def test_r5_exactly_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    caplog.set_level(logging.CRITICAL)
    control = drain(tmp_path / "control", scorecard.size(quick=5_000, full=20_000), seed, Trusting)
    alerts = scorecard.size(quick=5_000, full=100_000)
    ours = drain(tmp_path / "ours", alerts, seed)
    troubles = ", ".join(f"{number} {what}" for what, number in ours.counts.items() if what != "ledger_ms")
    row = Row(
        "R5",
        "alerts lost or twice in the ledger behind a hostile broker",
        ours.lost + ours.twice,
        "alerts",
        ours.sent,
        "0 and 0",
        passed=ours.lost == 0 and ours.twice == 0 and ours.sent == alerts and control.lost > 0,
        upper95=upper95(min(ours.lost + ours.twice, ours.sent), ours.sent),
        control=Control(
            f"what was published counts as delivered, {control.sent} alerts", control.lost, control.lost > 0
        ),
        anchors=(Anchor("Greengrass spooler, Frigate, Stream Manager", "at least once or less", "documented"),),
        seed=seed,
        notes=f"{ours.lost} lost, {ours.twice} twice, {alerts - ours.sent} still on their way; {ours.sent / ours.seconds:,.0f} alerts/s. "
        f"The broker: {troubles}. The uplink's clock ran {HASTE} times faster.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
