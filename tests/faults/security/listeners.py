"""Sockets of processes that somebody else could send to, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: State of a socket in /proc/net/tcp: it listens (include/net/tcp_states.h).
_LISTEN: Final = "0A"
_NOBODY: Final = {"00000000:0000", "00000000000000000000000000000000:0000"}
#: Flag of a Unix socket that listens (__SO_ACCEPTCON).
_ACCEPTS: Final = 0x10000


@dataclass(frozen=True, order=True)
class Listener:
    """A socket that takes what comes.

    Attributes:
        kind: ``tcp``, ``tcp6``, ``udp``, ``udp6``, ``raw``, ``raw6``, ``packet`` or ``unix``.
        at: address as the kernel writes it; a path for ``unix``, with ``@`` first where it has no file.
    """

    pid: int
    kind: str
    at: str


def listeners(pids: Iterable[int]) -> set[Listener]:
    """All that listen among the sockets of some processes; connected ones are none.

    A process is looked at in its own network namespace.
    """
    found: set[Listener] = set()
    for pid in pids:
        try:
            inodes = _sockets(pid)
            for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
                for fields in _rows(pid, kind):
                    takes = fields[3] == _LISTEN if kind.startswith("tcp") else fields[2] in _NOBODY
                    if fields[9] in inodes and takes:
                        found.add(Listener(pid, kind, fields[1]))
            found |= {Listener(pid, "packet", f[3]) for f in _rows(pid, "packet") if f[8] in inodes}
            for fields in _rows(pid, "unix"):
                if fields[6] in inodes and int(fields[3], 16) & _ACCEPTS:
                    found.add(Listener(pid, "unix", fields[7] if len(fields) > 7 else ""))
        except OSError:  # it has ended
            continue
    return found


def _sockets(pid: int) -> set[str]:
    """Inodes of the sockets that a process has."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            to = os.readlink(entry)
        except OSError:
            continue
        if to.startswith("socket:["):
            found.add(to.removeprefix("socket:[").removesuffix("]"))
    return found


def _rows(pid: int, kind: str) -> list[list[str]]:
    """Rows of a table of /proc/PID/net; none where the kernel has no such sockets."""
    path = Path(f"/proc/{pid}/net/{kind}")
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []
