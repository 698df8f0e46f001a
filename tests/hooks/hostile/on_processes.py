"""Attacks on other processes, and on what a process is made of."""

from __future__ import annotations

import array
import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path

from tests.hooks.hostile.tools import LIBC, TARGETS, attack, raw


@attack
def list_processes() -> object:
    return [name for name in os.listdir("/proc") if name.isdigit()][:3]


@attack
def read_its_wardens_environment() -> object:
    return Path(f"/proc/{TARGETS['warden']}/environ").read_bytes()[:16]


@attack
def read_its_wardens_memory() -> object:
    with open(f"/proc/{TARGETS['warden']}/mem", "rb") as file:
        return file.fileno()


@attack
def open_its_wardens_descriptors() -> object:
    return os.listdir(f"/proc/{TARGETS['warden']}/fd")[:3]


@attack
def signal_its_warden() -> object:
    os.kill(TARGETS["warden"], 0)
    return "signalled"


@attack
def signal_its_parent() -> object:
    os.kill(os.getppid() or TARGETS["warden"], 0)
    return "signalled"


@attack
def signal_a_bystander() -> object:
    os.kill(TARGETS["bystander"], signal.SIGTERM)
    return "signalled"


@attack
def signal_a_thread_of_another() -> object:
    return raw(234, 131, TARGETS["victim"], TARGETS["victim"], 0)


@attack
def queue_a_signal() -> object:
    info = struct.pack("iii", 0, 0, -1)  # SI_QUEUE: what a user may say of a signal
    return raw(129, 138, TARGETS["victim"], 0, ctypes.create_string_buffer(info + bytes(116)))


@attack
def signal_by_a_sockets_owner() -> object:
    """Whoever owns a socket is signalled when something arrives, with a signal of one's choice."""
    one, two = socket.socketpair()
    fcntl.fcntl(one, fcntl.F_SETOWN, TARGETS["bystander"])
    fcntl.fcntl(one, 10, signal.SIGTERM)  # F_SETSIG
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC)
    return two.send(b"x")


@attack
def open_a_handle_on_a_process() -> object:
    return raw(434, 434, TARGETS["victim"], 0)


@attack
def trace_a_process() -> object:
    return raw(101, 117, 0x4206, TARGETS["victim"], 0, 0)  # PTRACE_SEIZE


@attack
def read_the_memory_of_a_process() -> object:
    buffer = ctypes.create_string_buffer(16)
    mine = struct.pack("QQ", ctypes.addressof(buffer), 16)
    theirs = struct.pack("QQ", TARGETS["victim_address"], 16)
    return raw(310, 270, TARGETS["victim"], mine, 1, theirs, 1, 0)


@attack
def write_the_memory_of_a_process() -> object:
    buffer = ctypes.create_string_buffer(16)
    mine = struct.pack("QQ", ctypes.addressof(buffer), 16)
    theirs = struct.pack("QQ", TARGETS["victim_address"], 16)
    return raw(311, 271, TARGETS["victim"], mine, 1, theirs, 1, 0)


@attack
def change_a_process_limits() -> object:
    return raw(302, 261, TARGETS["victim"], 7, None, ctypes.create_string_buffer(16))


@attack
def change_a_process_priority() -> object:
    os.setpriority(os.PRIO_PROCESS, TARGETS["victim"], 19)
    return "changed"


@attack
def pin_a_process() -> object:
    os.sched_setaffinity(TARGETS["victim"], {0})
    return "pinned"


@attack
def compare_with_a_process() -> object:
    return raw(312, 272, TARGETS["victim"], os.getpid(), 0, 1, 1)


@attack
def start_a_program() -> object:
    return os.posix_spawn("/bin/true", ["true"], {})


@attack
def become_a_program() -> object:
    os.execv("/usr/bin/env", ["env"])


@attack
def become_a_program_by_descriptor() -> object:
    descriptor = os.open(sys.executable, os.O_RDONLY)
    return raw(322, 281, descriptor, b"", (ctypes.c_char_p * 1)(None), (ctypes.c_char_p * 1)(None), 0x1000)


@attack
def fork() -> object:
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)
    return process


@attack
def fork_by_number() -> object:
    process = raw(56, 220, signal.SIGCHLD, 0, 0, 0, 0)
    if process == 0:
        os._exit(0)
    return process


@attack
def load_a_library_from_its_own_directory() -> object:
    shutil.copyfile(library(), "planted.so")
    return ctypes.CDLL(os.path.abspath("planted.so"))._name


@attack
def load_a_library_from_the_application() -> object:
    return ctypes.CDLL(str(Path(__file__).with_name("native.so")))._name


@attack
def make_memory_executable() -> object:
    return len(mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_EXEC))


@attack
def make_written_memory_executable() -> object:
    memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "mprotect")
    return "executable"


def library() -> str:
    """A library that may be read."""
    import _struct

    found = getattr(_struct, "__file__", None) or array.__spec__.origin or ""
    if found.endswith(".so"):
        return found
    return next(str(path) for folder in sys.path for path in Path(folder).glob("*.so"))
