"""A broker of tests in a thread of its own, whose every answer the test decides."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.faults import mqtt_wire as wire

#: (seconds to wait, what is then sent); nothing at all where there is none.
Answers = Sequence[tuple[float, bytes]]


class JudgingBroker:
    """Listens on loopback.

    Attributes:
        judge: called in the broker's thread with each message and how many came before it.
        published: ids of the alerts that came, repeats too.
        attempts: monotonic times of new connections.
    """

    def __init__(self) -> None:
        self.judge: Callable[[wire.Publish, int], Answers] = lambda message, _: [(0.0, wire.puback(message.packet_id))]
        self.published: list[str] = []
        self.attempts: list[float] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def drop_all(self) -> None:
        """End every connection at once."""
        self._loop.call_soon_threadsafe(self._drop)

    def connections(self) -> int:
        """Open now."""
        return len(self._writers)

    def close(self) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._drop()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts.append(time.monotonic())
        self._writers.add(writer)
        try:
            while not writer.is_closing():  # what had come before the connection ended is lost with it
                found = await wire.read(reader)
                if found.kind == wire.CONNECT:
                    writer.write(wire.connack())
                elif found.kind == wire.SUBSCRIBE:
                    writer.write(wire.suback(found.body))
                elif found.kind == wire.PINGREQ:
                    writer.write(wire.pingresp())
                elif found.kind == wire.PUBLISH:
                    self._answer(wire.parse_publish(found), writer)
                elif found.kind == wire.DISCONNECT:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            with suppress(ConnectionError):
                writer.close()

    def _answer(self, message: wire.Publish, writer: asyncio.StreamWriter) -> None:
        answers = self.judge(message, len(self.published))
        self.published.append(str(json.loads(message.payload).get("alert_id", "")))
        for wait_s, data in answers:
            if wait_s:
                self._loop.call_later(wait_s, self._write, writer, data)
            else:
                self._write(writer, data)

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)
