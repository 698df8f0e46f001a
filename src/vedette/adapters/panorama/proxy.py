"""The program's way to the network: an HTTP proxy that connects to the hosts of the manifest and to no others.

Ordinary clients (``requests``, ``urllib``, the SDKs of AWS) find it in ``HTTPS_PROXY``. ``CONNECT`` is passed on as
bytes; what is asked for by its whole address goes to the server as it is, which servers of HTTP/1.1 understand (RFC
9112, section 3.2.2).
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from vedette.adapters.egress.relay import Relay
from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.reactor import Reactor
from vedette.contracts.errors import VedetteError
from vedette.contracts.hook_messages import ConnectRequest

#: Connections of one program at the same time.
MOST_CONNECTIONS: Final = 32
_HEAD_BYTES: Final = 16 << 10
#: For the first lines, and for the connection.
_PATIENCE_S: Final = 10.0
_TARGET: Final = re.compile(rb"^CONNECT (\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5}) HTTP/1\.[01]$")
_ADDRESS: Final = re.compile(rb"^[A-Z]{3,10} (http://[^ ]+) HTTP/1\.[01]$")


class Proxy:
    """Serves connections that the program has made.

    Args:
        broker: knows what is allowed, and counts.
        reactor: passes bytes on.
    """

    def __init__(self, broker: Broker, reactor: Reactor) -> None:
        self._broker = broker
        self._reactor = reactor
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._relays: set[Relay] = set()
        self._closed = False

    def serve(self, inside: socket.socket) -> None:
        """Serve one connection. For the reactor's thread."""
        if self._closed or not self._slots.acquire(blocking=False):
            inside.close()
            return
        threading.Thread(target=self._begin, args=(inside,), name="panorama-proxy", daemon=True).start()

    def close(self) -> None:
        """End all connections; idempotent."""
        self._closed = True
        for relay in list(self._relays):
            relay.close()

    def _begin(self, inside: socket.socket) -> None:
        """In a thread of its own: programs, names and hosts take their time."""
        try:
            outside = self._answer(inside)
        except (OSError, ValueError):
            outside = None
        if outside is None or not self._reactor.post(lambda: self._join(inside, outside)):
            inside.close()
            if outside is not None:
                outside.close()
            self._slots.release()

    def _answer(self, inside: socket.socket) -> socket.socket | None:
        head = _head(inside)
        line = head.partition(b"\r\n")[0]
        tunnel = _TARGET.match(line)
        address = _ADDRESS.match(line)
        if tunnel:
            host, port = tunnel[1].decode().strip("[]"), int(tunnel[2])
        elif address:
            parts = urlsplit(address[1].decode("ascii", "replace"))
            host, port = parts.hostname or "", parts.port or 80
        else:
            _say(inside, "400 Bad Request", "a proxy takes CONNECT host:port, or a whole address")
            return None
        try:
            request = ConnectRequest(host=host, port=port, timeout_s=_PATIENCE_S)
        except ValidationError:
            _say(inside, "400 Bad Request", "no host and port can be made of this")
            return None
        peer = self._broker.allowed(request)
        if peer is None:
            _say(inside, "403 Forbidden", self._broker.refuse(request))
            return None
        try:
            outside = self._broker.connect(peer, _PATIENCE_S)
        except VedetteError as error:
            _say(inside, "403 Forbidden", self._broker.note_refused(request, f"V806 {error.message}"))
            return None
        except OSError as error:
            _say(inside, "502 Bad Gateway", error.strerror or str(error))
            return None
        outside.settimeout(_PATIENCE_S)
        if tunnel:
            inside.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            head = head.partition(b"\r\n\r\n")[2]
        outside.sendall(head)
        return outside

    def _join(self, inside: socket.socket, outside: socket.socket) -> None:
        if self._closed:
            inside.close()
            outside.close()
            self._slots.release()
            return
        inside.setblocking(False)
        outside.setblocking(False)
        self._relays.add(self._broker.relay(inside, outside, self._ended))

    def _ended(self, relay: Relay) -> None:
        self._relays.discard(relay)
        self._slots.release()


def _head(inside: socket.socket) -> bytes:
    """The first lines of a request, up to and with the empty one.

    Raises:
        ValueError: they do not end, or the program has hung up.
    """
    head = b""
    deadline_s = time.monotonic() + _PATIENCE_S
    while b"\r\n\r\n" not in head:
        inside.settimeout(max(0.01, deadline_s - time.monotonic()))
        chunk = inside.recv(_HEAD_BYTES)
        head += chunk
        if not chunk or len(head) > _HEAD_BYTES or time.monotonic() > deadline_s:
            raise ValueError("no request")
    return head


def _say(inside: socket.socket, status: str, why: str) -> None:
    body = f"{why}\n".encode()
    with contextlib.suppress(OSError):
        inside.sendall(
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
