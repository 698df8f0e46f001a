"""A broker behind mutual TLS whose connections are metered where they meet the network.

TLS ends here, as at the cloud's endpoint; the broker and the ledger behind it are ``tests.faults.hostile_broker``
without any trouble. The kernel counts what a connection takes: payload of TCP in both directions (so TLS with its
handshake and its records) and segments, 52 bytes of IPv4 and TCP headers each.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.local.test_iot_broker import make_certificates
from vedette.local.core import BrokerIot

#: struct tcp_info of linux/tcp.h: bytes_acked and bytes_received (u64), segs_out and segs_in (u32), from Linux 4.2 on.
_COUNTERS = struct.Struct("=QQII")
_AT = 120
HEADERS = 20 + 20 + 12


class Metered:
    """Takes connections of devices and passes them on.

    Attributes:
        iot: how LocalCore reaches it.
        messages: what the broker counted; there when it has ended.
    """

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._broker_port = broker_port
        self._open: set[socket.socket] = set()
        self._closed = 0
        self.messages: dict[str, int] = {}
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
        self._tls.load_cert_chain(folder / "localhost.pem", folder / "localhost.key")
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        port = self._server.sockets[0].getsockname()[1]
        self.iot = BrokerIot("localhost", port, folder / "ca.pem", folder / "device.pem", folder / "device.key")
        self._thread = threading.Thread(target=self._loop.run_forever, name="metered", daemon=True)
        self._thread.start()

    def total_bytes(self) -> int:
        """Of all connections so far, both directions, headers included."""
        return asyncio.run_coroutine_threadsafe(self._total(), self._loop).result(10)

    def close(self) -> None:
        """Takes no more connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _total(self) -> int:
        return self._closed + sum(_taken(one) for one in self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        # a duplicate outlives the transport's own, so that the counters can still be read when it has closed
        meter = socket.socket(fileno=socket.dup(writer.get_extra_info("socket").fileno()))
        self._open.add(meter)
        try:
            await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
            self._closed += _taken(meter)
            self._open.discard(meter)
            meter.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _taken(connection: socket.socket) -> int:
    found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _AT + _COUNTERS.size)
    sent, received, out, incoming = _COUNTERS.unpack_from(found, _AT)
    return int(sent + received + HEADERS * (out + incoming))


@contextmanager
def metered_broker(folder: Path, thing: str) -> Iterator[Metered]:
    """Broker, ledger and meter for one device."""
    make_certificates(folder)
    asked = {"port": 0, "ledger": str(folder / "ledger.db"), "thing": thing, "seed": 1, "trouble": 0.0}
    command = [sys.executable, "-m", "tests.faults.hostile_broker", json.dumps(asked)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as broker:
        assert broker.stdout is not None
        metered = Metered(folder, int(broker.stdout.readline().split()[1]))
        try:
            yield metered
        finally:
            metered.close()
            counted, _ = broker.communicate("", timeout=30)
            metered.messages = json.loads(counted.splitlines()[-1])
