"""A simulated PLC with an ejector: it notes when its coil was switched on. pymodbus' own server, on loopback.

with Ejector() as ejector:
    ...                      # an action of type modbus writes coil 12 of unit 1 at ejector.port
    ejector.strokes()        # Unix times
"""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

from vedette.contracts.errors import UsageError

UNIT: Final = 1
COIL: Final = 12
_COILS: Final = 64
_WRITES: Final = (5, 15)
_START_S: Final = 10.0
#: Strokes kept; one a second for three hours.
MAX_STROKES: Final = 10_000


class Ejector:
    """A PLC of one unit whose coil ``COIL`` moves an ejector. Use as a context manager.

    Attributes:
        port: where it listens, once entered.
    """

    def __init__(self) -> None:
        self.port = 0
        self._strokes: list[float] = []
        self._on = False
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="ejector", daemon=True)

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            UsageError: V702, no port of this machine can be listened on.
        """
        self._thread.start()
        if not self._started.wait(_START_S) or not self.port:
            raise UsageError("the simulated PLC cannot listen on a port of 127.0.0.1.", code="V702")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, with every connection."""
        if self._loop is not None and self._server is not None:
            asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop)
        self._thread.join(_START_S)

    def strokes(self) -> tuple[float, ...]:
        """When the coil went from off to on, Unix times, in order."""
        return tuple(self._strokes)

    async def _serve(self) -> None:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        try:
            bits = [SimData(0, values=[False] * _COILS, datatype=DataType.BITS)]
            words = [SimData(0, values=[0] * _COILS, datatype=DataType.REGISTERS)]
            device = SimDevice(UNIT, simdata=(bits, bits, words, words), action=self._note)
            self._server = ModbusTcpServer(device, address=("127.0.0.1", 0))
            await self._server.serve_forever(background=True)
            self._loop = asyncio.get_running_loop()
            self.port = int(self._server.transport.sockets[0].getsockname()[1])
        finally:
            self._started.set()
        await self._server.serving
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _note(self, code: int, _start: int, address: int, _count: int, _held: list[int], values: Any) -> None:
        """Called by the server for each request, before it is served."""
        if code not in _WRITES or values is None or not address <= COIL < address + len(values):
            return
        on = bool(values[COIL - address])
        if on and not self._on and len(self._strokes) < MAX_STROKES:
            self._strokes.append(time.time())
        self._on = on
