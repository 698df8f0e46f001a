"""What the attacks share. ``targets.json`` beside this file says what to attack."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGETS: dict[str, Any] = json.loads((Path(__file__).parent / "targets.json").read_text())
ATTACKS: dict[str, Callable[[], object]] = {}
LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"


def attack(function: Callable[[], object]) -> Callable[[], object]:
    """One attack: returns what it got, or fails."""
    ATTACKS[function.__name__] = function
    return function


def raw(x86: int, other: int, *arguments: Any) -> int:
    """A system call by number."""
    result = int(LIBC.syscall(ctypes.c_long(x86 if X86 else other), *arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def control() -> Any:
    """The socket to the warden, found as any code can."""
    return next(
        one._control for one in gc.get_objects() if type(one).__name__ == "Runtime" and hasattr(one, "_control")
    )
