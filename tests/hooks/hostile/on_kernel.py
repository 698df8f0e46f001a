"""Attacks on the kernel, on privileges and on limits."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time

from tests.hooks.hostile.tools import attack, raw


@attack
def leave_for_another_namespace() -> object:
    return raw(272, 97, 0x10000000)


@attack
def mount_something() -> object:
    os.mkdir("mnt")
    done = raw(165, 40, b"none", b"mnt", b"tmpfs", 0, None)
    raw(166, 39, b"mnt", 2)
    return done


@attack
def load_a_kernel_program() -> object:
    one_cell = struct.pack("IIII", 2, 4, 4, 1)
    return raw(321, 280, 0, ctypes.create_string_buffer(one_cell + bytes(112)), 128)


@attack
def set_up_a_ring_of_calls() -> object:
    return raw(425, 425, 4, ctypes.create_string_buffer(120))


@attack
def handle_its_own_page_faults() -> object:
    return raw(323, 282, 1)


@attack
def count_events() -> object:
    return raw(298, 241, ctypes.create_string_buffer(struct.pack("II", 1, 112) + bytes(104)), 0, -1, -1, 0)


@attack
def use_the_kernels_keys() -> object:
    return raw(250, 219, 0, -3, 1)


@attack
def gain_privileges() -> object:
    os.setuid(0)
    return os.getuid()


@attack
def become_traceable() -> object:
    return raw(157, 167, 4, 1, 0, 0, 0)


@attack
def outlive_its_parent() -> object:
    return raw(157, 167, 1, 0, 0, 0, 0)


@attack
def change_its_personality() -> object:
    return raw(135, 92, 0x0400000)


@attack
def raise_its_limits() -> object:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    return resource.getrlimit(resource.RLIMIT_NOFILE)


@attack
def use_more_memory_than_allowed() -> object:
    return len(bytearray(1 << 29))


@attack
def use_more_threads_than_allowed() -> object:
    started = 0
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
        started += 1
    return started


@attack
def call_in_another_numbering() -> object:
    """The numbers of x32 go by the filter's architecture, but are others."""
    return raw(0x40000000 | 41, 0x40000000 | 198, socket.AF_INET, socket.SOCK_STREAM, 0)
