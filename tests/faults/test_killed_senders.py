"""N5: killed between sending and acknowledgement, again and again; what was committed is in the ledger once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.edge.running import wait_until
from tests.faults import mqtt_wire as wire
from tests.faults import scorecard
from tests.faults.alert_sender import THING
from tests.faults.alerts import number_of
from tests.faults.judging_broker import Answers, JudgingBroker
from tests.faults.scorecard import Anchor, Control, Row, upper95
from tests.faults.test_power_cuts import Writer
from vedette.contracts import topics
from vedette.local.ledger import Entry, Ledger

#: Committed in each life. Messages in which it ends are as many on average, so that what waits stays short.
ALERTS: Final = 4
LIMIT_S: Final = 30.0


class Holding:
    """The judge of a broker with the ledger behind it, who leaves one message of each life without a word.

    That message is in the ledger or not, by chance: a broker that has not acknowledged has promised nothing. What
    comes after it in the same life is gone with the connection.
    """

    def __init__(self, ledger: Ledger, chance: random.Random) -> None:
        self._ledger = ledger
        self._chance = chance
        self._left = 0
        self._last = -1
        self.held = threading.Event()
        self.kept = 0

    def begin(self, hold: int, last: int) -> None:
        """A new life: the message to hold by its place, at the latest the one of alert ``last``; 0: none."""
        self._left, self._last = hold, last
        self.held.clear()

    def __call__(self, message: wire.Publish, _before: int) -> Answers:
        if self.held.is_set():
            return ()
        entry = Entry.parse(message.payload)
        self._left -= 1
        if self._left == 0 or (self._left > 0 and _number(entry.payload) == self._last):
            if self._chance.random() < 0.5:
                self._ledger.record([entry], received_s=time.time())
                self.kept += 1
            self.held.set()
            return ()
        through = self._ledger.record([entry], received_s=time.time())
        words = [json.dumps({"epoch": epoch, "through_seq": seq}).encode() for epoch, seq in through.items()]
        said = [wire.publish(topics.cloud_ack(THING), word) for word in words]
        return [(0.0, wire.puback(message.packet_id) + b"".join(said))]


@dataclass(frozen=True)
class Outcome:
    """What was in the ledger at the end.

    Attributes:
        kept: of the held messages, those that were in the ledger all the same.
        repeats: messages on the wire that were there before.
    """

    kills: int
    committed: int
    lost: int
    twice: int
    kept: int
    repeats: int

    @property
    def wrong(self) -> int:
        """Lost or twice."""
        return self.lost + self.twice


def lives(folder: Path, kills: int, chance: random.Random, mutant: str = "") -> Outcome:
    """Kill a sender so often while a message has no acknowledgement, then let one send the rest."""
    folder.mkdir()
    committed: set[int] = set()
    with (
        closing(Ledger(folder / "ledger.db")) as ledger,
        closing(JudgingBroker()) as broker,
        closing(Writer("tests.faults.alert_sender")) as writer,
    ):
        broker.judge = holding = Holding(ledger, chance)
        asked = {"outbox": str(folder / "outbox.db"), "alerts": ALERTS, "port": broker.port, "mutant": mutant}
        for life in range(kills):
            first = life * ALERTS
            holding.begin(chance.randrange(1, 2 * ALERTS + 1), first + ALERTS - 1)
            writer.begin(first=first, **asked)
            assert holding.held.wait(LIMIT_S), f"life {life}: nothing came"
            committed |= {int(line[1]) for line in writer.said() + writer.kill() if line[0] == "acked"}
            wait_until(lambda: broker.connections() == 0, LIMIT_S, "the end of the connection")
        holding.begin(0, -1)
        writer.begin(first=kills * ALERTS, **(asked | {"alerts": 0}))
        wait_until(lambda: ["empty"] in writer.said(), LIMIT_S, "an empty outbox")
        writer.kill()
        repeats = len(broker.published) - len(set(broker.published))
        found = Counter(_number(json.dumps(entry).encode()) for entry in ledger.alerts())
    lost, twice = len(committed - set(found)), sum(found.values()) - len(found)
    return Outcome(kills, len(committed), lost, twice, holding.kept, repeats)


def _number(payload: bytes) -> int:
    """Which alert a message tells of."""
    return number_of(json.loads(payload)["alert"]["media_time_s"])


def test_n5_a_kill_between_sending_and_acknowledgement_loses_and_doubles_nothing(tmp_path: Path) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    some = scorecard.size(quick=8, full=30)
    deleting = lives(tmp_path / "deleting", some, random.Random(seed), "delete")
    renaming = lives(tmp_path / "renaming", some, random.Random(seed), "rename")
    ours = lives(tmp_path / "ours", scorecard.size(quick=20, full=200), random.Random(seed))
    seen = deleting.lost > 0 and renaming.twice > 0
    row = Row(
        "N5",
        "alerts lost or twice in the ledger after kill -9 between sending and acknowledgement",
        ours.wrong,
        "alerts",
        ours.kills,
        "0",
        passed=ours.wrong == 0 and ours.committed == ours.kills * ALERTS and ours.repeats > 0 and seen,
        upper95=upper95(min(ours.wrong, ours.kills), ours.kills),
        control=Control(
            f"a sender that deletes what it published, {deleting.kills} kills, {deleting.committed} alerts: lost",
            deleting.lost,
            seen,
        ),
        anchors=(Anchor("Greengrass spooler, Frigate, Stream Manager", "at least once or less", "documented"),),
        seed=seed,
        notes=f"{ours.committed} alerts committed, {ours.lost} lost, {ours.twice} twice; a repeat on the wire is allowed: "
        f"{ours.repeats}. Each kill came while the broker had a message and had not acknowledged it; {ours.kept} of these "
        f"{ours.kills} messages were in the ledger all the same. A sender that gives an alert a new id each time, "
        f"{renaming.kills} kills: {renaming.twice} twice.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
