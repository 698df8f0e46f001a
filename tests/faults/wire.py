"""A cable between a device and a camera that can be pulled, lose packets and be slow: two network namespaces and a veth pair.

Neither namespace has any other way out. What a thread opens while it is inside one stays there; so do the threads and
processes it starts meanwhile, which is how a simulator and a capture process get to their ends of the cable.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import pytest

from vedette.adapters.confinement.libc import CLONE_NEWNET

End = Literal["device", "camera"]
ENDS: Final[tuple[End, ...]] = ("device", "camera")
#: TEST-NET-2 (RFC 5737): belongs to nobody.
ADDRESSES: Final[dict[End, str]] = {"device": "198.51.100.1", "camera": "198.51.100.2"}
#: ``tc`` takes classic BPF: load a random number; below the limit return TC_ACT_SHOT (2), else TC_ACT_UNSPEC (-1).
_DROP: Final = "4,32 0 0 4294963256,53 1 0 {limit},6 0 0 2,6 0 0 4294967295"
#: Bytes a slow link lets pass at once, and how long a packet may wait for its turn before it is thrown away.
_BURST_BYTES: Final = 4_000
_WAIT_MS: Final = 400

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Wire:
    """Two namespaces joined by a cable.

    Raises:
        OSError: not allowed, or the kernel has no such thing.
    """

    def __init__(self) -> None:
        self._spaces: dict[End, str] = {end: f"vd-{os.getpid()}-{end}" for end in ENDS}
        try:
            for end in ENDS:
                _run("ip", "netns", "add", self._spaces[end])
            there = ("peer", "name", "wire", "netns", self._spaces["camera"])
            _run("ip", "link", "add", "wire", "netns", self._spaces["device"], "type", "veth", *there)
            for end in ENDS:
                self._ip(end, "address", "add", f"{ADDRESSES[end]}/30", "dev", "wire")
                self._ip(end, "link", "set", "lo", "up")
                self._ip(end, "link", "set", "wire", "up")
        except OSError:
            self.close()
            raise

    @contextmanager
    def inside(self, end: End) -> Iterator[None]:
        """This thread, and what it starts meanwhile, is at an end of the cable."""
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self._spaces[end]}") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def pull(self, end: End) -> float:
        """Pull the cable at an end; the monotonic time before that."""
        return self._set(end, "down")

    def join(self, end: End) -> float:
        """Put it back; the monotonic time before that."""
        return self._set(end, "up")

    def lose(self, share: float) -> None:
        """Throw away this share of all packets, either way, by the kernel's own random numbers."""
        for end in ENDS:
            program = _DROP.format(limit=round(share * 2**32))
            self._tc(end, "qdisc", "add", "dev", "wire", "clsact")
            self._tc(end, "filter", "add", "dev", "wire", "egress", "bpf", "da", "bytecode", program)

    def lost(self) -> float:
        """The share of all packets that was thrown away so far, by the kernel's count."""
        packets = drops = 0
        for end in ENDS:
            for queue in json.loads(self._tc(end, "-s", "-j", "qdisc", "show", "dev", "wire")):
                if queue["kind"] == "clsact":
                    packets, drops = packets + queue["packets"], drops + queue["drops"]
        return drops / max(1, packets)

    def slow(self, kbit: int) -> None:
        """Let no more than so many kbit/s pass, either way."""
        shape = ("rate", f"{kbit}kbit", "burst", str(_BURST_BYTES), "latency", f"{_WAIT_MS}ms")
        for end in ENDS:
            self._tc(end, "qdisc", "add", "dev", "wire", "root", "tbf", *shape)

    def resolved_s(self, timeout_s: float = 5.0) -> float:
        """When the device's kernel next knows which network card has the camera's address, monotonic."""
        with self.inside("device"):
            limit_s = time.monotonic() + timeout_s
            while time.monotonic() < limit_s:
                # Flags 0x2: the address is resolved.
                entries = [line.split() for line in Path("/proc/thread-self/net/arp").read_text().splitlines()[1:]]
                if any(entry[0] == ADDRESSES["camera"] and int(entry[2], 16) & 2 for entry in entries):
                    return time.monotonic()
                time.sleep(0.01)
        raise TimeoutError(f"the camera's address was not resolved within {timeout_s} s")

    def close(self) -> None:
        """Take it all away."""
        for space in self._spaces.values():
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)

    def _set(self, end: End, state: str) -> float:
        now_s = time.monotonic()
        self._ip(end, "link", "set", "wire", state)
        return now_s

    def _ip(self, end: End, *words: str) -> None:
        _run("ip", "-n", self._spaces[end], *words)

    def _tc(self, end: End, *words: str) -> str:
        return _run("tc", "-n", self._spaces[end], *words)


@contextmanager
def wire() -> Iterator[Wire]:
    """A cable for one test, which is skipped where there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        pytest.skip("a cable to pull needs root, ip and tc")
    try:
        made = Wire()
    except OSError as error:
        pytest.skip(f"a cable to pull needs network namespaces joined by a veth pair: {error}")
    try:
        yield made
    finally:
        made.close()


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command[:5])}: {done.stderr.strip()}")
    return done.stdout
