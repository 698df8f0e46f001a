"""All walls around a process, in the order in which they can be built, and a report of those that stand.

launcher   namespaces, a file system of what is needed; it starts the process proper and ends
process    user, limits, privileges, Landlock, seccomp; then the code nobody trusts
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from vedette.adapters.confinement import landlock, libc, namespaces, privileges, seccomp
from vedette.adapters.confinement.namespaces import Separated, View

#: No process here has more descriptors.
_MOST_DESCRIPTORS: Final = 1 << 16


class Wall(StrEnum):
    """One kind of confinement; the value is what people are shown."""

    PRIVILEGES = "privileges"
    USER = "user"
    LIMITS = "limits"
    LANDLOCK = "landlock"
    MOUNTS = "mounts"
    NETWORK = "network"
    PROCESSES = "processes"
    CALLS = "seccomp"


_NAMESPACES: Final = {
    Wall.MOUNTS: libc.CLONE_NEWNS,
    Wall.NETWORK: libc.CLONE_NEWNET,
    Wall.PROCESSES: libc.CLONE_NEWPID,
}


@dataclass(slots=True)
class Report:
    """Which walls stand.

    Attributes:
        standing: wall → detail for people, mostly empty.
        missing: wall → why.
    """

    standing: dict[Wall, str] = field(default_factory=dict)
    missing: dict[Wall, str] = field(default_factory=dict)

    def sufficient(self) -> bool:
        """Whether files and system calls are closed off: less is no confinement."""
        files = Wall.LANDLOCK in self.standing or Wall.MOUNTS in self.standing
        return files and Wall.CALLS in self.standing and Wall.PRIVILEGES in self.standing


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a confined process may use.

    Attributes:
        code: folder of the application; may be read.
        data: folder of its own; may be read and written.
        full: the data folder holds all it may: nothing can be added, only read and removed.
        user: number of the user it becomes where it starts as root.
        memory_bytes: beyond what the interpreter has now.
        mapped_bytes: address space besides, for files and shared memory that are mapped.
        file_bytes: largest file it may write.
        descriptors: open files.
        threads: at the same time.
        niceness: how far it stands back for other processes.
        forgo: walls not to build. For tests, which show what each is good for.
    """

    code: str
    data: str
    full: bool
    user: int
    memory_bytes: int
    mapped_bytes: int
    file_bytes: int
    descriptors: int = 64
    threads: int = 32
    niceness: int = 10
    forgo: frozenset[Wall] = frozenset()


@dataclass(frozen=True, slots=True)
class Launched:
    """What the launcher leaves to the process proper.

    Attributes:
        files: what the interpreter consists of.
        root_problem: why it has no file system of its own; empty where it has.
        space_bytes: address space of the interpreter now.
        data_bytes: of it, what it may write.
        others: threads of the same user, where it stays the same.
    """

    separated: Separated
    files: tuple[str, ...]
    root_problem: str
    space_bytes: int
    data_bytes: int
    others: int


def launch(allowance: Allowance) -> Launched:
    """What has to be done before the process proper is started; for a process of one thread."""
    files = namespaces.interpreter_files()
    space_bytes, data_bytes = _own_memory()
    others = 0 if os.geteuid() == 0 else _threads_of(os.geteuid())
    wanted = namespaces.ALL
    for wall, flag in _NAMESPACES.items():
        wanted &= ~flag if wall in allowance.forgo else ~0
    separated = namespaces.separate(wanted)
    problem = "" if separated.mounts else separated.why or "not wanted"
    if separated.mounts:
        try:
            namespaces.new_root(View(files, (allowance.code,), (allowance.data,)))
        except OSError as error:
            problem = error.strerror or str(error)
    return Launched(separated, files, problem, space_bytes, data_bytes, others)


def build(allowance: Allowance, launched: Launched, kept: frozenset[int]) -> Report:
    """What the process itself does, before it loads anything nobody trusts.

    Args:
        allowance: what it may use.
        launched: what ``launch`` returned.
        kept: descriptors that stay open.

    Raises:
        OSError: its own folder cannot be entered.
    """
    report = Report()
    separated = launched.separated
    for wall, there in (
        (Wall.MOUNTS, not launched.root_problem),
        (Wall.NETWORK, separated.network),
        (Wall.PROCESSES, separated.processes),
    ):
        if there:
            report.standing[wall] = ""
        else:
            report.missing[wall] = (launched.root_problem if wall is Wall.MOUNTS else separated.why) or "not wanted"
    _close_all_but(kept)
    os.nice(allowance.niceness)
    steps: tuple[tuple[Wall, Callable[[], str]], ...] = (
        (Wall.LIMITS, lambda: _limit(allowance, launched)),
        (Wall.USER, lambda: _leave_root(allowance, reachable=Wall.MOUNTS in report.standing)),
        (Wall.PRIVILEGES, _give_up_privileges),
        (Wall.LANDLOCK, lambda: _close_files(allowance, launched)),
        (Wall.CALLS, _close_calls),
    )
    for wall, step in steps:
        if wall is Wall.PRIVILEGES:
            os.chdir(allowance.data)
        if wall in allowance.forgo:
            report.missing[wall] = "not wanted"
            continue
        try:
            report.standing[wall] = step()
        except OSError as error:
            report.missing[wall] = error.strerror or str(error)
    return report


def _limit(allowance: Allowance, launched: Launched) -> str:
    values: Mapping[int, int] = {
        resource.RLIMIT_AS: launched.space_bytes + allowance.memory_bytes + allowance.mapped_bytes,
        resource.RLIMIT_DATA: launched.data_bytes + allowance.memory_bytes,
        resource.RLIMIT_NPROC: launched.others + allowance.threads,
        resource.RLIMIT_NOFILE: allowance.descriptors,
        resource.RLIMIT_FSIZE: allowance.file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    privileges.limit(values)
    return ""


def _leave_root(allowance: Allowance, *, reachable: bool) -> str:
    if os.geteuid() != 0:
        return f"user {os.geteuid()}"
    if not reachable:
        raise OSError(0, "root: another user could not reach the files without a file system of its own")
    privileges.become(allowance.user)
    return f"user {allowance.user}"


def _give_up_privileges() -> str:
    privileges.die_with_parent()  # after the change of user, which would undo it
    libc.drop_capabilities()
    privileges.gain_nothing()
    return ""


def _close_files(allowance: Allowance, launched: Launched) -> str:
    readable = (*launched.files, allowance.code, "/dev/urandom", "/dev/random", "/dev/zero")
    if allowance.full:
        version = landlock.restrict(readable, ("/dev/null",), (allowance.data,))
    else:
        version = landlock.restrict(readable, ("/dev/null", allowance.data))
    return f"version {version}"


def _close_calls() -> str:
    seccomp.restrict(os.getpid())
    return ""


def _close_all_but(kept: frozenset[int]) -> None:
    begin = 0
    for descriptor in sorted(kept):
        if descriptor > begin:  # an empty range would be taken for one without end
            os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, _MOST_DESCRIPTORS)


def _own_memory() -> tuple[int, int]:
    """Address space and writable memory of this process, bytes."""
    pages = Path("/proc/self/statm").read_text().split()
    size = resource.getpagesize()
    return int(pages[0]) * size, int(pages[5]) * size


def _threads_of(user: int) -> int:
    """Threads that a user has now: where the limit counts them, it must be above their number."""
    count = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, ValueError):
            if status.stat().st_uid == user:
                _, _, rest = status.read_text().partition("Threads:")
                count += int(rest.split(maxsplit=1)[0])
    return count
