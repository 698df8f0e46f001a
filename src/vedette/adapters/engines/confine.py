"""What a process gives up before it touches a file nobody trusts. Standard library only; call it before any import."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

from vedette.adapters.confinement import libc, privileges


def confine(memory_bytes: int, cpu_s: int, written_bytes: int) -> None:
    """Bound memory, time and output; no core file, no new privileges, no life after the parent, no network.

    The network goes where the kernel lets an ordinary process have a network of its own; elsewhere the rest holds.

    Args:
        memory_bytes: address space.
        cpu_s: processor time.
        written_bytes: largest file written, standard output included.
    """
    with contextlib.suppress(OSError):
        privileges.die_with_parent()
    with contextlib.suppress(OSError):
        privileges.gain_nothing()
    for flags in (libc.CLONE_NEWNET, libc.CLONE_NEWUSER | libc.CLONE_NEWNET):
        try:
            libc.unshare(flags)
        except OSError:
            continue
        break
    privileges.limit(
        {
            resource.RLIMIT_AS: memory_bytes,
            resource.RLIMIT_CPU: cpu_s,
            resource.RLIMIT_FSIZE: written_bytes,
            resource.RLIMIT_CORE: 0,
        }
    )


def bound_memory(spare_bytes: int) -> None:
    """Let this process have so much more private memory than it has, and no more.

    A model that asks for more fails to run instead of driving the device out of memory. What files and cameras share
    with the process does not count. May be called again; a limit that someone else set lower stays.

    Args:
        spare_bytes: more than now.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + spare_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
