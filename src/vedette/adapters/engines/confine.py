"""What a process gives up before it touches a file nobody trusts. Standard library only; call it before any import."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
from typing import Final

# linux/prctl.h and linux/sched.h
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWNET: Final = 0x4000_0000
_CLONE_NEWUSER: Final = 0x1000_0000


def confine(memory_bytes: int, cpu_s: int, written_bytes: int) -> None:
    """Bound memory, time and output; no core file, no new privileges, no life after the parent, no network.

    The network goes where the kernel lets an ordinary process have a network of its own; elsewhere the rest holds.

    Args:
        memory_bytes: address space.
        cpu_s: processor time.
        written_bytes: largest file written, standard output included.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, written_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError):  # a lower hard limit is in force already
            resource.setrlimit(limit, (value, value))
