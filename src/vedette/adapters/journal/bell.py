"""The journal's doorbell: a datagram socket that wakes the reader after a commit."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Final

from vedette.contracts.errors import StorageError

MAX_SOCKET_PATH_BYTES: Final = 107


class Bell:
    """The writers' side of the doorbell: rings where somebody listens, and never waits."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ring(self) -> None:
        """Wake the reader."""
        with contextlib.suppress(OSError):  # nobody listens yet, or the bell rings already
            self._socket.sendto(b"!", self._path)

    def close(self) -> None:
        """Release the descriptor."""
        self._socket.close()


def listen(path: Path) -> socket.socket:
    """The reader's side: a datagram socket, made anew, that writers of the same group may send to.

    Raises:
        StorageError: V401, the path is too long for a Unix socket or cannot be bound.
    """
    length = len(str(path).encode())
    if length > MAX_SOCKET_PATH_BYTES:
        raise StorageError(
            f"{path}: {length} bytes; a Unix socket's path has at most {MAX_SOCKET_PATH_BYTES}.",
            hint="Choose a state directory with a shorter path.",
            code="V401",
        )
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        path.unlink(missing_ok=True)
        bell.bind(str(path))
        path.chmod(0o660)
    except OSError as error:
        bell.close()
        raise StorageError(
            f"doorbell {path}: {error.strerror or error}.",
            hint="The state directory must exist and be writable for the components' group.",
            code="V401",
        ) from error
    return bell
