"""``socket.create_connection`` inside the confined process: the warden connects, and only where the manifest says.

What comes back is a socket whose other end is the warden, which passes the bytes on. ``http.client``,
``urllib.request`` and ``ssl`` work on top of it; what resolves names or makes sockets itself does not.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import Any, Final

from vedette.adapters.hooks import framing

#: Asked for where the caller names no time-out.
_USUAL_S: Final = 10.0
_LONGEST_S: Final = 60.0


class BrokeredSocket(socket.socket):
    """A connection that the warden made."""

    peer: tuple[str, int] = ("", 0)

    def setsockopt(self, *arguments: Any) -> None:
        """Options of TCP are the warden's business; those of the socket are set."""
        if arguments and arguments[0] == socket.SOL_SOCKET:
            super().setsockopt(*arguments)

    def getpeername(self) -> Any:
        """Whom the warden connected to."""
        return self.peer


def install(broker: socket.socket) -> None:
    """Have every connection of this process made by the warden.

    Args:
        broker: blocking, to the warden.
    """
    lock = threading.Lock()
    usual = socket.create_connection.__defaults__

    def create_connection(
        address: tuple[str, int],
        timeout: Any = usual[0] if usual else None,
        *_source: Any,
        **_options: Any,
    ) -> socket.socket:
        host, port = address
        seconds = timeout if isinstance(timeout, int | float) else _USUAL_S
        request = {"host": str(host), "port": int(port), "timeout_s": min(max(float(seconds), 0.01), _LONGEST_S)}
        descriptors: list[int] = []
        with lock:
            framing.send(broker, request)
            answer = framing.receive(broker, descriptors)
        if answer is None or not descriptors:
            raise _refusal(answer or {})
        connection = BrokeredSocket(fileno=descriptors[0])
        connection.peer = (str(host), int(port))
        if isinstance(timeout, int | float):
            connection.settimeout(timeout)
        return connection

    socket.create_connection = create_connection  # type: ignore[assignment]  # fewer kinds of addresses


def _refusal(answer: dict[str, Any]) -> OSError:
    number = int(answer.get("errno", errno.ECONNREFUSED))
    return OSError(number, str(answer.get("refused", "")) or os.strerror(number))
