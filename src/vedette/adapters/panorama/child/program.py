"""The process that becomes the application's own program: it builds the walls around itself, then executes it."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

from vedette.adapters.confinement import landlock, libc, privileges, seccomp
from vedette.adapters.confinement.namespaces import Separated
from vedette.adapters.confinement.walls import Report, Wall
from vedette.adapters.panorama.child import packets

#: What a program may have open, and processes and threads of its user.
_DESCRIPTORS: Final = 1024
_PROCESSES: Final = 256
#: Address space for libraries and pictures that are mapped, besides the memory it may use.
_MAPPED_BYTES: Final = 64 << 30
#: Exit status where the program cannot be executed, as shells have it.
_NOT_FOUND: Final = 127
_MOST_DESCRIPTORS: Final = 1 << 16


class Program:
    """What is to be executed.

    Args:
        settings: ``argv``, ``env``, ``runnable``, ``writable``, ``user``, ``memory_bytes``, ``file_bytes``, ``cwd``,
            ``trust``.
        separated: namespaces of its own.
        root_problem: why it has no file system of its own.
        proxy_port: where it reaches the network; 0 where it does not.
    """

    def __init__(self, settings: dict[str, Any], separated: Separated, root_problem: str, proxy_port: int) -> None:
        self._settings = settings
        self._separated = separated
        self._root_problem = root_problem
        self._proxy_port = proxy_port
        self.user = int(settings["user"])

    def start(self, control: socket.socket) -> int:
        """Start it; its process number."""
        process = os.fork()
        if process:
            return process
        try:
            for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by the interpreter; a program expects it otherwise
                signal.signal(ignored, signal.SIG_DFL)
            os.setsid()
            self._become(control)
        except BaseException as error:  # noqa: BLE001 - between fork and exec: nobody else can say it
            print(f"cannot be started: {error}", flush=True)  # noqa: T201 - the program's own output
        os._exit(_NOT_FOUND)

    def _become(self, control: socket.socket) -> None:
        settings, separated = self._settings, self._separated
        report = Report()
        for wall, there, why in (
            (Wall.MOUNTS, not self._root_problem, self._root_problem),
            (Wall.NETWORK, separated.network, separated.why),
            (Wall.PROCESSES, separated.processes, separated.why),
        ):
            if there:
                report.standing[wall] = ""
            else:
                report.missing[wall] = why or "not to be had"
        mounts = Wall.MOUNTS in report.standing
        steps: tuple[tuple[Wall, Callable[[], str]], ...] = (
            (Wall.LIMITS, self._limit),
            (Wall.USER, lambda: self._leave_root(reachable=mounts)),
            (Wall.PRIVILEGES, self._give_up_privileges),
            (Wall.LANDLOCK, self._close_files),
            (Wall.CALLS, self._close_calls),
        )
        os.nice(5)
        for wall, step in steps:
            if wall is Wall.PRIVILEGES:
                os.chdir(settings["cwd"] if mounts else settings["plain_cwd"])
            try:
                report.standing[wall] = step()
            except OSError as error:
                report.missing[wall] = error.strerror or str(error)
        sufficient = self._sufficient(report)
        packets.send(control, {"walls": _as_json(report), "sufficient": sufficient})
        if not sufficient and not settings["trust"]:
            os._exit(_NOT_FOUND)
        _close_descriptors()
        argv = settings["argv"] if mounts else settings["plain_argv"]
        os.execvpe(argv[0], argv, self._environment(mounts=mounts))  # noqa: S606 - the whole point

    def _sufficient(self, report: Report) -> bool:
        needed = {Wall.MOUNTS, Wall.NETWORK, Wall.PROCESSES, Wall.PRIVILEGES, Wall.CALLS}
        return needed <= report.standing.keys()

    def _environment(self, *, mounts: bool) -> dict[str, str]:
        env = dict(self._settings["env"] if mounts else self._settings["plain_env"])
        if self._proxy_port:
            proxy = f"http://127.0.0.1:{self._proxy_port}"
            here = "127.0.0.1,localhost"
            for name, value in (("HTTP_PROXY", proxy), ("HTTPS_PROXY", proxy), ("NO_PROXY", here)):
                env |= {name: value, name.lower(): value}
        return env

    def _limit(self) -> str:
        memory, files = self._settings["memory_bytes"], self._settings["file_bytes"]
        privileges.limit(
            {
                resource.RLIMIT_AS: memory + _MAPPED_BYTES,
                resource.RLIMIT_DATA: memory,
                resource.RLIMIT_NPROC: _PROCESSES if os.geteuid() == 0 else resource.RLIM_INFINITY,
                resource.RLIMIT_NOFILE: _DESCRIPTORS,
                resource.RLIMIT_FSIZE: files,
                resource.RLIMIT_CORE: 0,
                resource.RLIMIT_MEMLOCK: 0,
                resource.RLIMIT_MSGQUEUE: 0,
            }
        )
        return ""

    def _leave_root(self, *, reachable: bool) -> str:
        if os.geteuid() != 0:
            return f"user {os.geteuid()}"
        if not reachable:
            raise OSError(0, "root: another user could not reach the files without a file system of its own")
        privileges.become(self.user)
        return f"user {self.user}"

    def _give_up_privileges(self) -> str:
        privileges.die_with_parent()
        libc.drop_capabilities()
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
        return ""

    def _close_files(self) -> str:
        runnable, writable = self._settings["runnable"], self._settings["writable"]
        return f"version {landlock.restrict_programs(runnable, writable)}"

    def _close_calls(self) -> str:
        seccomp.restrict(os.getpid(), programs=True)
        return ""


def _as_json(report: Report) -> dict[str, dict[str, str]]:
    return {
        "standing": {wall.value: detail for wall, detail in report.standing.items()},
        "missing": {wall.value: why for wall, why in report.missing.items()},
    }


def _close_descriptors() -> None:
    """All but the three standard ones: also those that others have left open."""
    os.closerange(3, _MOST_DESCRIPTORS)
