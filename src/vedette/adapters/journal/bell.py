"""The journal's doorbells: datagram sockets that wake its readers after a commit."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import Final

from vedette.contracts.errors import StorageError

MAX_SOCKET_PATH_BYTES: Final = 107
#: More readers than a device has; what else lies in the directory is not rung.
MAX_BELLS: Final = 64
#: A directory that changed so recently may change again without another time stamp.
_SETTLED_NS: Final = 50_000_000


class Bell:
    """The writers' side of the doorbells: rings where somebody listens, and never waits.

    Args:
        path: one of the doorbells; it and all sockets called ``*.bell`` in its directory are rung.
    """

    def __init__(self, path: Path) -> None:
        self._directory = path.parent
        self._first = str(path)
        self._bells: tuple[str, ...] = (self._first,)
        self._changed_ns = 0
        self._settled = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ring(self) -> None:
        """Wake the readers."""
        with contextlib.suppress(OSError):  # the directory is not there yet, so nobody listens
            self._look()
        for bell in self._bells:
            with contextlib.suppress(OSError):  # nobody listens there, or the bell rings already
                self._socket.sendto(b"!", bell)

    def close(self) -> None:
        """Release the descriptor."""
        self._socket.close()

    def _look(self) -> None:
        """Which bells there are; one ``stat`` unless the directory has changed."""
        changed_ns = self._directory.stat().st_mtime_ns
        if self._settled and changed_ns == self._changed_ns:
            return
        self._changed_ns = changed_ns
        self._settled = time.time_ns() - changed_ns > _SETTLED_NS
        others = sorted({str(path) for path in self._directory.glob("*.bell")} - {self._first})
        self._bells = (self._first, *others)[:MAX_BELLS]


def listen(path: Path) -> socket.socket:
    """A reader's side: a datagram socket, made anew, that writers of the same group may send to.

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
