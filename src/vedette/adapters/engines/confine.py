"""What a process gives up before it touches a file nobody trusts. Standard library only; call it before any import."""

from __future__ import annotations

import contextlib
import resource

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
