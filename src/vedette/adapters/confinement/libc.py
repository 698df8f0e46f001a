"""System calls that Python does not offer. Standard library only."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any, Final

# linux/prctl.h
PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38

# linux/sched.h
CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

# linux/mount.h
MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_NOATIME: Final = 1024
MS_NODIRATIME: Final = 2048
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MS_RELATIME: Final = 1 << 21
MNT_DETACH: Final = 2

#: The same on every architecture.
SYS_LANDLOCK_CREATE_RULESET: Final = 444
SYS_LANDLOCK_ADD_RULE: Final = 445
SYS_LANDLOCK_RESTRICT_SELF: Final = 446
#: (pivot_root, capset) by machine.
_NUMBERS: Final = {"x86_64": (155, 126), "aarch64": (41, 91)}

_libc: Final = ctypes.CDLL(None, use_errno=True)


def machine() -> str:
    """``x86_64``, ``aarch64`` or what else the kernel calls it."""
    return platform.machine()


def prctl(option: int, argument: int | ctypes.Array[Any] | ctypes.Structure = 0, second: int = 0) -> None:
    """Change what the kernel does with this process: ``prctl(2)`` with up to two arguments.

    Raises:
        OSError: as the kernel says.
    """
    first = ctypes.c_ulong(argument) if isinstance(argument, int) else ctypes.byref(argument)
    _checked(_libc.prctl(option, first, ctypes.c_ulong(second), 0, 0), "prctl")


def set_filter(program: ctypes.Structure) -> None:
    """Install a seccomp filter (mode 2).

    Raises:
        OSError: as the kernel says.
    """
    _checked(_libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(program), 0, 0), "seccomp")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones: ``unshare(2)``.

    Raises:
        OSError: as the kernel says.
    """
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, or change a mount: ``mount(2)``.

    Raises:
        OSError: as the kernel says.
    """
    result = _libc.mount(
        source.encode() or None, target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _checked(result, f"mount {target}")


def unmount(target: str) -> None:
    """Let go of a mount, whoever still uses it: ``umount2(2)``.

    Raises:
        OSError: as the kernel says.
    """
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root_here() -> None:
    """Make the current directory the root, and let go of the old one.

    Raises:
        OSError: as the kernel says, or ENOSYS on a machine whose numbers are not known.
    """
    number = _number(0)
    _checked(_libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    unmount(".")  # the old root lies on top of the new one
    os.chdir("/")


def bound_capabilities() -> None:
    """Let no program this process may execute gain a capability. Needs one itself: before a change of user."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # none to do it with, or the kernel knows no more
            break


def drop_capabilities() -> None:
    """Give up every capability, for good.

    Raises:
        OSError: as the kernel says.
    """
    bound_capabilities()
    header = (ctypes.c_uint32 * 2)(0x2008_0522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    nothing = (ctypes.c_uint32 * 6)()
    _checked(_libc.syscall(ctypes.c_long(_number(1)), header, nothing), "capset")


def syscall(number: int, *arguments: Any) -> int:
    """A system call by number; its result.

    Raises:
        OSError: as the kernel says.
    """
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments), f"system call {number}")


def _number(index: int) -> int:
    numbers = _NUMBERS.get(machine())
    if numbers is None:
        raise OSError(38, f"system call numbers of {machine()} are not known")
    return numbers[index]


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)
