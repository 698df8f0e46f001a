"""A long way: a TCP proxy that hands everything on so much later, either way.

The handshake of TCP itself is not delayed: the proxy accepts at once, and connects on its own. What is said over the
connection is late by half the round trip each way, in order, and nothing else is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 65_536


class SlowProxy:
    """Runs in a thread of its own, in the network namespace of the thread that enters it.

    Args:
        host: where it listens and what it leads to.
        port: of what it leads to.
        round_trip_s: there and back.
    """

    def __init__(self, host: str, port: int, round_trip_s: float) -> None:
        self._host, self._target, self._late_s = host, port, round_trip_s / 2
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-proxy", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # transports close in callbacks of the next turn

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(self._host, self._target)
            self._writers.add(there_writer)
            await asyncio.gather(self._hand_on(reader, there_writer), self._hand_on(there_reader, writer))

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                loop.call_later(self._late_s, self._write, writer, data)
        loop.call_later(self._late_s, writer.close)

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)
