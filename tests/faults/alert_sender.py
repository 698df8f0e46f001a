"""Sends the alerts of an outbox until it is killed: ``python -m tests.faults.alert_sender``.

As ``alert_writer``: a life for each line of standard input. The line has ``outbox`` (file), ``first`` and ``alerts``
(numbers of those to commit before anything is sent), ``port`` (of the broker) and ``mutant``. Says ``acked N`` for each
alert that was committed, and ``empty`` when nothing waits any more.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from pathlib import Path
from typing import Any, Final

from awscrt import mqtt5  # before the first life: it costs each of them a fifth of a second

from tests.faults.alert_writer import main, say
from tests.faults.alerts import new_alert
from tests.faults.plain_bus import PlainBus
from tests.faults.test_exactly_once import Trusting
from vedette.adapters.actions.iot_core import CloudLink
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.pipeline.uplink import Uplink
from vedette.ports.outbox import CLOUD_CHANNEL, OutboxRow

assert mqtt5
THING: Final = "thing"


class Renaming(CloudLink):
    """A faulty implementation: an alert has another id each time that it is sent."""

    def send(self, row: OutboxRow) -> None:
        super().send(dataclasses.replace(row, alert_id=uuid.uuid4().hex))


#: By name: what the suite has to notice.
LINKS: Final[dict[str, type[CloudLink]]] = {"": CloudLink, "delete": Trusting, "rename": Renaming}


def work(asked: dict[str, Any]) -> None:
    """One life."""
    logging.disable(logging.CRITICAL)
    outbox = SqliteOutbox(Path(asked["outbox"]))
    for number in range(asked["first"], asked["first"] + asked["alerts"]):
        outbox.commit("journal", number, {"n": number}, [new_alert(number, CLOUD_CHANNEL)])
        say(f"acked {number}")
    bus = PlainBus(asked["port"])
    assert bus.wait_connected(10)
    link = LINKS[asked["mutant"]](bus.as_bus(), THING)
    uplink = Uplink(outbox, link, start=False)
    if isinstance(link, Trusting):
        link.uplink = uplink
        link.through = next((row.seq - 1 for row in outbox.rows(CLOUD_CHANNEL, 0, None, 1)), 0)
    link.listen(uplink.acknowledged)
    said = False
    while True:
        uplink.step()
        if not said and not outbox.channels():
            said = True
            say("empty")
        time.sleep(0.005)


if __name__ == "__main__":
    main(work)
