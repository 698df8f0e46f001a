"""The system calls a confined process may make, as a BPF program that the kernel runs before each of them.

A list of what is allowed: what is not on it does not exist for the process, whatever later kernels add. Refused calls
return EPERM, so the author of the code sees where it happened; a call in the numbering of another architecture ends
the process. Facts: https://docs.kernel.org/userspace-api/seccomp_filter.html.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vedette.adapters.confinement import libc
from vedette.adapters.confinement.syscalls import ANSWERED, CHECKED, FREE, PROGRAMS, PROGRAMS_CHECKED

# linux/bpf_common.h: load a word, compare, bitwise and, return
_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_ATLEAST: Final = 0x35
_AND: Final = 0x54
_RETURN: Final = 0x06
# linux/seccomp.h
_ALLOW: Final = 0x7FFF_0000
_ERRNO: Final = 0x0005_0000
_KILL_PROCESS: Final = 0x8000_0000
_NUMBER_AT: Final = 0
_MACHINE_AT: Final = 4
_ARGUMENTS_AT: Final = 16
#: linux/audit.h: machine of a call; and the column of the tables of numbers.
_MACHINES: Final = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
#: Calls of the x32 numbering have this bit.
_X32: Final = 0x4000_0000

_EPERM: Final = 1
_ENOTTY: Final = 25
_ENOPROTOOPT: Final = 92
_EAFNOSUPPORT: Final = 97

# Values that arguments may have, each from the kernel's header of the call.
_PROT_WRITE, _PROT_EXEC = 2, 4
_MAP_SHARED, _MAP_ANONYMOUS = 1, 0x20
_TMPFILE: Final = 0o20000000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_SOL_SOCKET: Final = 1
_SOCKET_OPTIONS: Final = (2, 7, 8, 9, 13, 20, 21)  # REUSEADDR SNDBUF RCVBUF KEEPALIVE LINGER RCVTIMEO SNDTIMEO
_CLONE_THREAD: Final = 0x0001_0000
_CLONE_NEW: Final = 0x7E02_0080
_IOCTLS: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FI(O|ON)CLEX
#: DUPFD GETFD SETFD GETFL SETFL GETLK SETLK SETLKW OFD_GETLK OFD_SETLK OFD_SETLKW DUPFD_CLOEXEC GET_SEALS
_FCNTLS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1034)
_S_IFMT, _S_IFIFO = 0o170000, 0o010000
_AF_INET, _AF_INET6 = 2, 10
#: Besides: SET_PDEATHSIG, CAPBSET_READ.
_PRCTLS_OF_PROGRAMS: Final = (1, 23)
_PRCTLS: Final = (3, 15, 16, 39, 0x5356_4D41)  # GET_DUMPABLE SET_NAME GET_NAME GET_NO_NEW_PRIVS SET_VMA


@dataclass(frozen=True, slots=True)
class _Is:
    """An argument's low 32 bits, masked, are one of some values."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class _IsNull:
    """A pointer is null."""

    argument: int


#: One way to be allowed: all of these hold.
_Way = tuple[_Is | _IsNull, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A call that is allowed in some ways, and what is answered otherwise."""

    ways: tuple[_Way, ...]
    error: int = _EPERM


def restrict(process: int, *, programs: bool = False) -> None:
    """Allow only what ``syscalls`` lists, for this thread and those it starts.

    Args:
        process: number of this process as it sees itself; it may signal no other.
        programs: allow what programs with process numbers and a network of their own need: to start others, signal
            them, and use sockets.

    Raises:
        OSError: the kernel has no filters, or the machine's numbers are not known.
    """
    code = program(libc.machine(), process, programs=programs)
    instructions = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc.set_filter(Program(len(code) // 8, ctypes.addressof(instructions)))


def program(machine: str, process: int, *, programs: bool = False) -> bytes:
    """The filter: instructions of eight bytes. See ``restrict``.

    Raises:
        OSError: ENOSYS, the machine's numbers are not known.
    """
    if machine not in _MACHINES:
        raise OSError(38, f"system call numbers of {machine} are not known")
    audit, column = _MACHINES[machine]
    code = [
        _instruction(_LOAD, _MACHINE_AT),
        _instruction(_EQUAL, audit, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        code += [_instruction(_ATLEAST, _X32, 0, 1), _instruction(_RETURN, _KILL_PROCESS)]
    free, checked = (FREE | PROGRAMS, CHECKED | PROGRAMS_CHECKED) if programs else (FREE, CHECKED)
    for numbers in free.values():
        code += _when(numbers[column], [_instruction(_RETURN, _ALLOW)])
    for entry in ANSWERED.values():
        code += _when(entry[column], [_instruction(_RETURN, _ERRNO | entry[2])])
    rules = _rules(process) | (_rules_of_programs() if programs else {})
    for name, rule in rules.items():
        if name not in free:
            code += _when(checked[name][column], _judged(rule))
    code.append(_instruction(_RETURN, _ERRNO | _EPERM))
    return b"".join(code)


def _rules(process: int) -> dict[str, _Rule]:
    zero = (0,)
    not_executable = _Is(2, zero, _PROT_EXEC)
    private = _Is(3, zero, _MAP_SHARED)
    of_a_file = _Is(3, zero, _MAP_ANONYMOUS)
    library = (_Is(2, zero, _PROT_WRITE), _Is(3, zero, _MAP_SHARED | _MAP_ANONYMOUS))
    own = _Is(0, (process,))
    return {
        "open": _Rule(((_Is(1, zero, _TMPFILE),),)),
        "openat": _Rule(((_Is(2, zero, _TMPFILE),),)),
        # Code comes from files on file systems that allow it, never from memory; and no memory is had by sharing it
        # with nobody, which no limit would count.
        "mmap": _Rule(((not_executable, private), (not_executable, of_a_file), library)),
        "mprotect": _Rule(((not_executable,),)),
        "ioctl": _Rule(((_Is(1, _IOCTLS),),), _ENOTTY),
        "fcntl": _Rule(((_Is(1, _FCNTLS),),)),
        # Times of an open file; by a path, Landlock would not look.
        "utimensat": _Rule(((_IsNull(1),),)),
        # Not SOCK_DGRAM: such a pair can be made to send to any socket that has a name.
        "socketpair": _Rule(((_Is(0, (_AF_UNIX,)), _Is(1, (_SOCK_STREAM,), _SOCK_TYPE)),)),
        "setsockopt": _Rule(((_Is(1, (_SOL_SOCKET,)), _Is(2, _SOCKET_OPTIONS)),), _ENOPROTOOPT),
        "clone": _Rule(((_Is(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NEW),),)),
        "prctl": _Rule(((_Is(0, _PRCTLS),),)),
        "prlimit64": _Rule(((_Is(0, zero),), (own,))),
        "kill": _Rule(((own,),)),
        "tgkill": _Rule(((own,),)),
    }


def _rules_of_programs() -> dict[str, _Rule]:
    """For programs that have process numbers and a network of their own, what differs."""
    zero = (0,)
    fifo = (_S_IFIFO,)
    return {
        # Compilers in memory are part of many programs; memory that is shared with nobody is counted by no limit.
        "mmap": _Rule(((_Is(3, zero, _MAP_SHARED),), (_Is(3, zero, _MAP_ANONYMOUS),))),
        "clone": _Rule(((_Is(0, zero, _CLONE_NEW),),)),
        "kill": _Rule(((),)),
        "prctl": _Rule(((_Is(0, _PRCTLS + _PRCTLS_OF_PROGRAMS),),)),
        "prlimit64": _Rule(((_Is(0, zero),),)),
        "socket": _Rule(((_Is(0, (_AF_UNIX, _AF_INET, _AF_INET6)),),), _EAFNOSUPPORT),
        "socketpair": _Rule(((_Is(0, (_AF_UNIX,)),),)),
        "mknod": _Rule(((_Is(1, fifo, _S_IFMT),),)),
        "mknodat": _Rule(((_Is(2, fifo, _S_IFMT),),)),
    }


def _when(number: int | None, body: Sequence[bytes]) -> list[bytes]:
    """``body``, which returns, for one call; nothing where the machine does not have it."""
    return [] if number is None else [_instruction(_EQUAL, number, 0, len(body)), *body]


def _judged(rule: _Rule) -> list[bytes]:
    code: list[bytes] = []
    for way in rule.ways:
        block: list[bytes] = [_instruction(_RETURN, _ALLOW)]
        for condition in reversed(way):  # from the end, so that each knows how far it is to the next way
            block = _condition(condition, len(block)) + block
        code += block
    return [*code, _instruction(_RETURN, _ERRNO | rule.error)]


def _condition(condition: _Is | _IsNull, rest: int) -> list[bytes]:
    """Go on with the next instruction where it holds, else skip ``rest`` instructions."""
    at = _ARGUMENTS_AT + 8 * condition.argument
    if isinstance(condition, _IsNull):
        return [
            _instruction(_LOAD, at),
            _instruction(_EQUAL, 0, 0, rest + 2),
            _instruction(_LOAD, at + 4),
            _instruction(_EQUAL, 0, 0, rest),
        ]
    code = [_instruction(_LOAD, at)]
    if condition.mask != 0xFFFF_FFFF:
        code.append(_instruction(_AND, condition.mask))
    last = len(condition.values) - 1
    for index, value in enumerate(condition.values):
        code.append(_instruction(_EQUAL, value, last - index, rest if index == last else 0))
    return code


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
