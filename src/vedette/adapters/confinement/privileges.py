"""What a process gives up of its own: privileges, life after its parent, resources."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Mapping

from vedette.adapters.confinement import libc


def die_with_parent() -> None:
    """Have the kernel kill this process with the thread that started it. A change of user undoes this.

    Raises:
        OSError: as the kernel says.
    """
    libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent has ended, below this one.

    Raises:
        OSError: as the kernel says.
    """
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)


def gain_nothing() -> None:
    """No new privileges by executing anything, no core file, no tracing by others of the same user.

    Raises:
        OSError: as the kernel says.
    """
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    libc.prctl(libc.PR_SET_DUMPABLE, 0)


def become(user: int) -> None:
    """Be another user, of a group of the same number and of no other; for root only.

    Raises:
        OSError: as the kernel says.
    """
    libc.bound_capabilities()
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def limit(values: Mapping[int, int]) -> None:
    """Resource limits, soft and hard alike; one that is lower already stays.

    Args:
        values: ``resource.RLIMIT_…`` → limit.
    """
    for which, value in values.items():
        _, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        with contextlib.suppress(ValueError):
            resource.setrlimit(which, (value, value))
