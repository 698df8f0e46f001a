"""Landlock: which files a process may touch, enforced by the kernel for good.

Facts: https://docs.kernel.org/userspace-api/landlock.html. ABI 1 came with Linux 5.13; what a later one can refuse is
refused where there is one.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from typing import Final

from vedette.adapters.confinement import libc

# linux/landlock.h
_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REMOVE_DIR: Final = 1 << 4
_REMOVE_FILE: Final = 1 << 5
_MAKE_DIR: Final = 1 << 7
_MAKE_REG: Final = 1 << 8
_MAKE_SOCK: Final = 1 << 9
_MAKE_FIFO: Final = 1 << 10
_MAKE_SYM: Final = 1 << 12
_REFER: Final = 1 << 13
_TRUNCATE: Final = 1 << 14
#: Every right that a version of the interface knows; what is handled and not granted is refused.
_HANDLED: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_BIND_AND_CONNECT: Final = 3
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 3
_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1

_READ: Final = _READ_FILE | _READ_DIR
_REMOVE: Final = _REMOVE_DIR | _REMOVE_FILE | _TRUNCATE
_CHANGE: Final = _REMOVE | _WRITE_FILE | _MAKE_DIR | _MAKE_REG | _REFER
_RUN: Final = _READ | _EXECUTE
_CHANGE_ANYHOW: Final = _CHANGE | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
_OF_A_FILE: Final = _WRITE_FILE | _READ_FILE | _TRUNCATE | _EXECUTE


def version() -> int:
    """Version of the interface that the kernel offers; 0 where it offers none."""
    try:
        return libc.syscall(libc.SYS_LANDLOCK_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(readable: Sequence[str], writable: Sequence[str], removable: Sequence[str] = ()) -> int:
    """Allow these files and folders, with what is below them, and no others. For this thread and those it starts.

    Args:
        readable: may be read.
        writable: may be read, written, made and removed; what does not exist is left out, here and below.
        removable: may be read, emptied and removed, but not written: a folder that is full.

    Returns:
        Version of the interface in force.

    Raises:
        OSError: the kernel has no Landlock, or refuses it.
    """
    abi, handled = _handled()
    attributes = struct.pack("Q", handled)
    if abi >= 4:
        attributes += struct.pack("Q", _NET_BIND_AND_CONNECT)
    if abi >= 6:
        attributes += struct.pack("Q", _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS)
    _enforce(attributes, ((readable, _READ), (writable, _READ | _CHANGE), (removable, _READ | _REMOVE)), handled)
    return abi


def restrict_programs(runnable: Sequence[str], writable: Sequence[str]) -> int:
    """The same for whole programs, which start others and have a network of their own.

    Args:
        runnable: may be read and executed.
        writable: may be read, written, made and removed, with links, sockets and named pipes.

    Returns:
        Version of the interface in force.

    Raises:
        OSError: the kernel has no Landlock, or refuses it.
    """
    abi, handled = _handled()
    _enforce(struct.pack("Q", handled), ((runnable, _RUN), (writable, _READ | _CHANGE_ANYHOW)), handled)
    return abi


def _handled() -> tuple[int, int]:
    """The kernel's version of the interface, and every right that it can refuse."""
    abi = version()
    if not abi:
        raise OSError(38, "this kernel has no Landlock")
    return abi, _HANDLED[min(abi, max(_HANDLED))]


def _enforce(attributes: bytes, allowed: Sequence[tuple[Sequence[str], int]], handled: int) -> None:
    ruleset = libc.syscall(
        libc.SYS_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
    )
    try:
        for paths, rights in allowed:
            for path in paths:
                _allow(ruleset, path, rights & handled)
        libc.syscall(libc.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there, hence not to be reached
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_A_FILE
        rule = struct.pack("=Qi", rights, descriptor)
        libc.syscall(libc.SYS_LANDLOCK_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)
