"""A PLC that tests can make busy, slow, deaf and rude: pymodbus' own server on a port of its own."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.actions.receivers import free_port

WRITES = (5, 6, 15, 16)
UNIT = 7
SIZE = 100


@dataclass(frozen=True)
class Write:
    """What a client wrote, and when (monotonic)."""

    at_s: float
    address: int
    values: tuple[int, ...]


class Plc:
    """Coils and holding registers 0 to 99 of unit 7.

    ``before(function code, address, values)`` is called before each request is served: it may return an exception
    code, ``"reset"`` (the request is not served and all connections are reset), ``"reset after"`` (it is served, its
    answer lost) or a pause in seconds.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.writes: list[Write] = []
        self.requests: list[int] = []
        self.before: Callable[[int, int, tuple[int, ...]], Any] = lambda *_: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._all: list[asyncio.Transport] = []
        self._by_hand = False
        self._change: tuple[str, int, int] | None = None
        self.up()

    def up(self) -> None:
        started = threading.Event()

        async def serve() -> None:
            blocks = (
                [SimData(0, values=[False] * SIZE, datatype=DataType.BITS)],
                [SimData(0, values=[False] * SIZE, datatype=DataType.BITS)],
                [SimData(0, values=[0] * SIZE, datatype=DataType.REGISTERS)],
                [SimData(0, values=[0] * SIZE, datatype=DataType.REGISTERS)],
            )
            device = SimDevice(UNIT, simdata=blocks, action=self._serve)
            self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
            accept = self._server.callback_new_connection
            self._server.callback_new_connection = lambda: self._watched(accept())
            await self._server.serve_forever(background=True)
            started.set()
            await self._server.serving
            self._reset()
            await asyncio.sleep(0.01)  # aborted connections are closed in the loop's next rounds
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            self._reset()
            await asyncio.sleep(0.01)

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            self._loop.run_until_complete(serve())
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(10)

    def down(self) -> None:
        """End, with every connection; what was written is forgotten, as by a PLC that loses power."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop)
            self._thread.join(10)
            self._loop = self._server = None
            with warnings.catch_warnings():  # what the server accepted in its last moment it leaves to the collector
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()

    close = down

    def coil(self, address: int) -> int:
        return int(self._ask(1, address, None)[0])

    def register(self, address: int) -> int:
        return int(self._ask(3, address, None)[0])

    def set_by_hand(self, kind: str, address: int, value: int) -> None:
        """As an operator at the panel does it."""
        self._ask(5 if kind == "coil" else 6, address, [bool(value) if kind == "coil" else value])

    def by_hand_soon(self, kind: str, address: int, value: int) -> None:
        """The same, from within ``before``: it is done before the request is served."""
        self._change = (kind, address, value)

    def _ask(self, code: int, address: int, values: list[Any] | None) -> Any:
        """What is in the server's memory, or put there, without a request."""

        async def ask() -> Any:
            self._by_hand = True
            try:
                if values is not None:
                    return await self._server.context.async_setValues(UNIT, code, address, values)
                return await self._server.context.async_getValues(UNIT, code, address, 1)
            finally:
                self._by_hand = False

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(10)

    def values(self, address: int) -> list[int]:
        """What was written to one address, in order."""
        return [write.values[0] for write in self.writes if write.address == address]

    def times(self, address: int, value: int = 1) -> list[float]:
        return [write.at_s for write in self.writes if write.address == address and write.values[0] == value]

    async def _serve(
        self, code: int, _start: int, address: int, _count: int, _held: list[int], values: Any
    ) -> ExcCodes | None:
        if self._by_hand or (code in WRITES and values is None):  # the latter: what a write's answer repeats
            return None
        at_s = time.monotonic()
        self.requests.append(code)
        written = tuple(int(value) for value in values or ())
        verdict = self.before(code, address, written)
        if self._change is not None:
            kind, where, value = self._change
            self._change, self._by_hand = None, True
            await self._server.context.async_setValues(UNIT, 5 if kind == "coil" else 6, where, [bool(value)])
            self._by_hand = False
        if isinstance(verdict, float):
            await asyncio.sleep(verdict)
            verdict = None
        if isinstance(verdict, ExcCodes):
            return verdict
        if verdict == "reset":
            self._reset()
            return ExcCodes.DEVICE_FAILURE
        if code in WRITES:
            self.writes.append(Write(at_s, address, written))
        if verdict == "reset after":
            self._reset()
        return None

    def _watched(self, handler: Any) -> Any:
        """The connection's handler, whose transport we keep: the server forgets those whose client left."""
        made = handler.connection_made

        def connection_made(transport: Any) -> None:
            self._all.append(transport)
            made(transport)

        handler.connection_made = connection_made
        return handler

    def _reset(self) -> None:
        for connection in self._all:
            connection.abort()
        self._all.clear()
