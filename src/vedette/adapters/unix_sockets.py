"""What every Unix socket of a device needs: a path the kernel takes, and a look at who is at the other end."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from vedette.contracts.errors import StorageError

#: sizeof(sockaddr_un.sun_path) - 1 on Linux.
SOCKET_PATH_LIMIT_BYTES: Final = 107
#: asm-generic/socket.h, Linux 4.13 and later; not named by Python.
_SO_PEERGROUPS: Final = 59
#: Python takes 1024 bytes of an option at most.
_GROUPS_LIMIT: Final = 256


def check_socket_path(path: Path) -> str:
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


def listen_at(path: Path, kind: socket.SocketKind, backlog: int, what: str) -> socket.socket:
    """A listening socket at ``path``, put in place in one step, for this user and the directory's group.

    Args:
        path: where; what is there is replaced.
        kind: such as ``SOCK_STREAM``.
        backlog: connections that may wait.
        what: for messages, such as ``frame``.

    Raises:
        StorageError: V401, it cannot be made.
    """
    staging = path.with_name(f".{os.getpid()}.sock")
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        check_socket_path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        staging.unlink(missing_ok=True)
        listener.bind(check_socket_path(staging))
        staging.chmod(0o660)
        listener.listen(backlog)
        staging.replace(path)
    except OSError as error:
        listener.close()
        raise StorageError(
            f"the {what} socket {path} cannot be made: {error}.",
            hint="Check that stateDirectory exists and belongs to the component's user.",
            code="V401",
        ) from error
    except StorageError:
        listener.close()
        raise
    return listener


def peer_allowed(peer: socket.socket, directory: Path, *, group_mode: int = stat.S_IWGRP) -> bool:
    """Whether the process at the other end may use what lies in a directory.

    Allowed are root, the user of this process, and members of the directory's group, where its mode grants them
    ``group_mode`` (0 asks for nothing more than membership). The kernel says who it is; nothing the peer sends is
    believed.
    """
    uid, gid = peer_user(peer)
    if uid in (0, os.geteuid()):
        return True
    info = directory.stat()
    if group_mode and not info.st_mode & group_mode:
        return False
    return gid == info.st_gid or info.st_gid in _other_groups(peer)


def peer_user(peer: socket.socket) -> tuple[int, int]:
    """User and group of the process at the other end, as the kernel says.

    Raises:
        OSError: it cannot be told.
    """
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, gid = struct.unpack("3i", credentials)
    return uid, gid


def _other_groups(peer: socket.socket) -> tuple[int, ...]:
    try:
        raw = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _GROUPS_LIMIT)
    except OSError:  # an older kernel, or more groups than fit
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)
