"""The frame socket's address, and who may use it."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Final

from vedette.contracts.errors import StorageError

#: sizeof(sockaddr_un.sun_path) - 1 on Linux.
SOCKET_PATH_LIMIT_BYTES: Final = 107
#: asm-generic/socket.h; not named by Python.
SO_PEERGROUPS: Final = 59
#: Python takes 1024 bytes of an option at most.
_GROUPS_LIMIT: Final = 256


def check_path(path: Path) -> str:
    """The path as text for ``bind`` and ``connect``.

    Raises:
        StorageError: V401, longer than the kernel takes.
    """
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_LIMIT_BYTES:
        raise StorageError(
            f"the socket path {str(path)!r} has {size} bytes; Unix sockets take at most {SOCKET_PATH_LIMIT_BYTES}.",
            hint="Choose a shorter stateDirectory or camera name.",
            code="V401",
        )
    return str(path)


def may_connect(peer: socket.socket, directory: Path) -> bool:
    """Whether the process at the other end may read pictures.

    Allowed are the same user, root, and members of the group that owns the socket's directory.
    """
    size = struct.calcsize("3i")
    _, uid, gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid in (os.geteuid(), 0):
        return True
    group = directory.stat().st_gid
    return gid == group or group in _other_groups(peer)


def _other_groups(peer: socket.socket) -> tuple[int, ...]:
    try:
        raw = peer.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * _GROUPS_LIMIT)
    except OSError:  # a kernel before 4.13, or more groups than fit
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)
