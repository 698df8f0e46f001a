"""The conversation between a host and the keeper of its program: JSON in packets, with descriptors."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any, Final

LIMIT_BYTES: Final = 64 << 10


def send(peer: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a packet.

    Raises:
        OSError: the other side is gone, or does not read.
    """
    data = json.dumps(message, separators=(",", ":")).encode()
    if descriptors:
        socket.send_fds(peer, [data], list(descriptors))
    else:
        peer.send(data)


def receive(peer: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next packet and its descriptors; None where the other side is gone or sends something else.

    Raises:
        BlockingIOError: there is none now.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(peer, LIMIT_BYTES, 4)
    except BlockingIOError:
        raise
    except OSError:
        return None, []
    try:
        message = json.loads(data) if data else None
    except ValueError:
        message = None
    if isinstance(message, dict):
        return message, descriptors
    for descriptor in descriptors:
        os.close(descriptor)
    return None, []
