"""The small process between LocalCore and one component: nothing of a component outlives it.

Run as a file, with the standard library only. On a device systemd ends a component with its whole control
group; here the keeper is the reaper of every process the component leaves behind (``PR_SET_CHILD_SUBREAPER``),
even of those that made a session of their own, and kills them when the main process ends. A process group alone
would miss such daemons. Its standard input is a pipe that LocalCore never closes while it lives: end of file
means that LocalCore is gone, whichever way, and everything is killed.

Standard input takes the lines ``stop`` (SIGTERM to the main process), ``stop-all`` (SIGTERM to every process)
and ``kill``. Standard output tells ``{"pid": n}``, then ``{"exit": code}``, ``{"signal": n}`` or ``{"error": text}``.
Standard error belongs to the component.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _tell(**fields: object) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more; the end of standard input says so as well
        os.write(1, json.dumps(fields).encode() + b"\n")


def descendants(ancestor: int) -> list[int]:
    """Process ids of everything below a process, from one pass over ``/proc``."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # gone since the folder was listed
        children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    pending = [ancestor]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def _signal_all(number: int) -> None:
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _sweep() -> None:
    """Kills and reaps until no descendant is left; orphans arrive here because this process is the subreaper."""
    while True:
        _signal_all(signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _start(command: list[str]) -> int:
    """Forks the component's main process and waits until its exec has worked."""
    reader, writer = os.pipe()  # closed by a successful exec
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(125)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(2, 1)
            os.execvp(command[0], command)  # noqa: S606 (the command is the recipe's own)
        except BaseException as error:  # noqa: BLE001 - in the forked child: told to the parent, then _exit
            os.write(writer, f"{command[0]}: {error}".encode()[:500])
        finally:
            os._exit(127)
    os.close(writer)
    problem = os.read(reader, 500)
    os.close(reader)
    if problem:
        os.waitpid(pid, 0)
        raise OSError(problem.decode(errors="replace"))
    return pid


def _reap(main_pid: int) -> int | None:
    """Collects what has ended; the main process's status once it has."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid == 0:
            return None
        if pid == main_pid:
            return status


def _obey(line: bytes, main_pid: int) -> None:
    if line == b"stop-all":
        _signal_all(signal.SIGTERM)
    elif line == b"kill":
        _signal_all(signal.SIGKILL)
    elif line == b"stop":
        with contextlib.suppress(OSError):
            os.kill(main_pid, signal.SIGTERM)


def main(command: list[str]) -> int:
    """Runs one command to its end."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake_reader, wake_writer = os.pipe()
    for end in (wake_reader, wake_writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # LocalCore decides; it speaks over standard input
    try:
        main_pid = _start(command)
    except OSError as error:
        _tell(error=str(error))
        return 1
    _tell(pid=main_pid)
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_reader], [], [])
        if wake_reader in ready:
            os.read(wake_reader, 4096)
            status = _reap(main_pid)
            if status is not None:
                break
        if 0 in ready:
            data = os.read(0, 4096)
            if not data:
                _sweep()
                return 1
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                _obey(line, main_pid)
    _sweep()
    if os.WIFSIGNALED(status):
        _tell(signal=os.WTERMSIG(status))
    else:
        _tell(exit=os.WEXITSTATUS(status))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
