"""Starts a program in confinement: ``python -m vedette.adapters.panorama.child.main CONTROL`` (a descriptor).

launcher   namespaces, a file system of what is needed; ends when the keeper has
keeper     first of its own process numbers: starts the program, passes signals on, makes connections inside the
           program's network, hands over those that the program makes through the proxy
program    user, limits, privileges, Landlock, seccomp; then the application's own command
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import Any

from vedette.adapters.confinement import libc, namespaces, privileges
from vedette.adapters.confinement.namespaces import Placed, Separated, View
from vedette.adapters.panorama.child import packets
from vedette.adapters.panorama.child.keeper import Keeper
from vedette.adapters.panorama.child.program import Program


def main() -> None:
    """Confine, start, wait."""
    control = socket.socket(fileno=int(sys.argv[1]))
    first, _ = packets.receive(control)
    if first is None:
        return
    privileges.die_with_parent()
    separated = namespaces.separate(namespaces.ALL)
    if separated.network:
        namespaces.loopback_up()
    problem = _new_root(first["view"], separated)
    keeper = os.fork()
    if keeper == 0:
        _keep(control, first, separated, problem)
    control.close()
    while True:
        with contextlib.suppress(InterruptedError):
            os.waitpid(keeper, 0)
            os._exit(0)


def _new_root(view: dict[str, Any], separated: Separated) -> str:
    """Why there is no file system of its own; empty where there is."""
    if not separated.mounts:
        return separated.why or "not to be had"
    placed = tuple(Placed(**one) for one in view["placed"])
    fresh = tuple((path, size) for path, size in view["fresh"])
    try:
        namespaces.new_root(View(tuple(view["libraries"]), placed=placed, fresh=fresh, folders=("/proc",)))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _keep(control: socket.socket, first: dict[str, Any], separated: Separated, problem: str) -> None:
    privileges.die_with_parent()
    if separated.processes and not problem:
        flags = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC
        with contextlib.suppress(OSError):  # hidden by whoever runs this machine; programs can do without
            libc.mount("proc", "/proc", "proc", flags)
    proxy = _listen() if first["proxy"] and separated.network else None
    program = Program(first["program"], separated, problem, proxy.getsockname()[1] if proxy else 0)
    started = program.start(control)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        Keeper(control, proxy, started, program.user).run()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started, signal.SIGKILL)
        os._exit(0)  # the kernel ends whatever the program has left in its process numbers


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener


if __name__ == "__main__":
    main()
