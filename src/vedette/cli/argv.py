"""Keeps a password that was typed as an argument out of the list of processes."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path
from typing import Final

from vedette.core.redact import redact

_ARG_START, _ARG_END = 47, 48  # fields of /proc/PID/stat, counted from 0; proc_pid_stat(5)
_MOST_BYTES: Final = 1 << 20


def hide_credentials() -> None:
    """Overwrite credentials in this process's own arguments, which every user of the machine can read.

    They could be read between the start and now; a file or a prompt is better, and only those are safe. Nothing
    happens where the system does not let us.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        raw = Path("/proc/self/cmdline").read_bytes()
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        # What stands before the last ")" are the fields 0 and 1.
        start, end = int(fields[_ARG_START - 2]), int(fields[_ARG_END - 2])
        hidden = redacted_arguments(raw)
        if hidden != raw and 0 < end - start == len(raw) <= _MOST_BYTES:
            ctypes.memmove(start, hidden, len(hidden))


def redacted_arguments(raw: bytes) -> bytes:
    """The same number of bytes, NUL after each argument as in ``/proc/PID/cmdline``, without credentials.

    Args:
        raw: arguments, a NUL after each.
    """
    shown = []
    for argument in raw.split(b"\0"):
        text = argument.decode(errors="surrogateescape")
        hidden = redact(text).encode(errors="surrogateescape") if "://" in text and "@" in text else argument
        # A longer text would reach into the next argument; a shorter one is filled up.
        shown.append(hidden[: len(argument)].ljust(len(argument)))
    return b"\0".join(shown)
