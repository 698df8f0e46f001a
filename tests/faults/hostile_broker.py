"""A broker and a ledger behind it that do everything a network may: ``python -m tests.faults.hostile_broker``.

Takes one JSON object as its only argument: ``port`` (0 for any), ``ledger`` (file), ``thing``, ``seed``, ``trouble``
(0..1, how much of it). What is published on the thing's topic of alerts goes into the ledger, whose word goes back.
Acknowledgements of messages come late, twice, for other numbers, out of order or never; messages and words of the
ledger get lost; now and then the connection breaks. Prints ``port N``, and at the end, when standard input is closed,
a JSON object of counters.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.faults import mqtt_wire as wire
from vedette.contracts import topics
from vedette.local.ledger import Entry, Ledger

#: Messages the ledger takes at a time, as its function in the account does.
BATCH: Final = 200
LATE_S: Final = 0.05
#: Of all messages, with the whole of the trouble.
LOST, UNACKED, TWICE, UNKNOWN, LATE, BREAK = 0.001, 0.005, 0.02, 0.01, 0.05, 0.001


class Broker:
    """One process, one device."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._ledger = Ledger(Path(asked["ledger"]))
        self._chance = random.Random(asked["seed"])
        self._trouble = float(asked["trouble"])
        self._alerts, self._ack = topics.cloud_alerts(asked["thing"]), topics.cloud_ack(asked["thing"])
        self._waiting: list[Entry] = []
        self._new = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self.counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                found = await wire.read(reader)
                if found.kind == wire.CONNECT:
                    self.counts["connections"] += 1
                    writer.write(wire.connack())
                elif found.kind == wire.SUBSCRIBE:
                    self._writers.add(writer)
                    writer.write(wire.suback(found.body))
                elif found.kind == wire.PINGREQ:
                    writer.write(wire.pingresp())
                elif found.kind == wire.PUBLISH:
                    if not self._published(wire.parse_publish(found), writer):
                        return
                elif found.kind == wire.DISCONNECT:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share * self._trouble

    def _published(self, message: wire.Publish, writer: asyncio.StreamWriter) -> bool:
        """Take a message; False where the connection breaks instead."""
        self.counts["published"] += 1
        if self._happens(BREAK):
            self.counts["broken"] += 1
            return False
        if self._happens(LOST):  # acknowledged, and lost on the way to the ledger
            self.counts["lost"] += 1
            writer.write(wire.puback(message.packet_id))
            return True
        if message.topic == self._alerts:
            self._waiting.append(Entry.parse(message.payload))
            self._new.set()
        if self._happens(UNACKED):
            self.counts["unacked"] += 1
            return True
        if self._happens(UNKNOWN):
            self.counts["unknown"] += 1
            writer.write(wire.puback(self._chance.randrange(40_000, 60_000)))
        if self._happens(LATE):
            self.counts["late"] += 1
            asyncio.get_running_loop().call_later(
                LATE_S * self._chance.random(), self._write, writer, wire.puback(message.packet_id)
            )
            return True
        writer.write(wire.puback(message.packet_id))
        if self._happens(TWICE):
            self.counts["twice"] += 1
            writer.write(wire.puback(message.packet_id))
        return True

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)

    async def keep(self) -> None:
        """Records what came, and says so, or not."""
        loop = asyncio.get_running_loop()
        while True:
            await self._new.wait()
            self._new.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                if self._happens(0.1):
                    self._chance.shuffle(batch)
                if self._happens(0.05):
                    batch += batch[: self._chance.randrange(20)]  # a queue delivers at least once
                begun_s = time.monotonic()
                through = await loop.run_in_executor(None, self._record, batch)
                self.counts["ledger_ms"] += round((time.monotonic() - begun_s) * 1000)
                for epoch, seq in through.items():
                    word = json.dumps({"epoch": epoch, "through_seq": seq}).encode()
                    times = self._chance.choice((0, 1, 2)) if self._happens(0.1) else 1
                    for writer in list(self._writers):
                        self._write(writer, wire.publish(self._ack, word) * times)

    def _record(self, batch: list[Entry]) -> dict[str, int]:
        return self._ledger.record(batch, received_s=time.time())


async def serve(asked: dict[str, Any]) -> None:
    broker = Broker(asked)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", asked["port"])
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    keeper = asyncio.create_task(broker.keep())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    keeper.cancel()
    with suppress(asyncio.CancelledError):
        await keeper
    print(json.dumps(broker.counts), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
