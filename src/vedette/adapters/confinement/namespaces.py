"""A second wall: a network without interfaces, process numbers of its own, a file system of what is needed only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vedette.adapters.confinement import libc

#: Everything but the user namespace, which is entered where the rest needs it.
ALL: Final = libc.CLONE_NEWNS | libc.CLONE_NEWNET | libc.CLONE_NEWPID | libc.CLONE_NEWIPC | libc.CLONE_NEWUTS
#: Folders of which one is there on every system: the new root is put together on top of it, for this process only.
_SCAFFOLDS: Final = ("/tmp", "/run", "/var/tmp", "/mnt")  # noqa: S108 - covered by a file system of our own
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
#: What shared libraries, time zones and certificates need; what is not there is left out.
SYSTEM: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime",
    "/usr/share/zoneinfo", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Separated:
    """Which namespaces of its own a process has.

    Attributes:
        mounts: its own mounts.
        network: its own network, without interfaces.
        processes: the next process it starts is the first of its own numbering.
        why: the kernel's reason where something is missing; empty where nothing is.
    """

    mounts: bool
    network: bool
    processes: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file or folder that a process sees at another path than its own.

    Attributes:
        source: where it is.
        target: where the process sees it.
        writable: whether it may be written to.
        runnable: whether programs and libraries in it may be used.
    """

    source: str
    target: str
    writable: bool = False
    runnable: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Files that a process sees, each at its own path but those that are placed elsewhere.

    Attributes:
        libraries: may be read, and libraries be loaded from there.
        data: may be read only.
        writable: may be read and written.
        placed: at other paths.
        fresh: folders that are empty and in memory, and their size in bytes.
        folders: empty folders, to be mounted on.
    """

    libraries: tuple[str, ...]
    data: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    placed: tuple[Placed, ...] = ()
    fresh: tuple[tuple[str, int], ...] = ()
    folders: tuple[str, ...] = ()


def separate(wanted: int = ALL) -> Separated:
    """Enter as many namespaces as the kernel lets this process; for a process of one thread.

    Args:
        wanted: ``CLONE_NEW…`` flags.
    """
    user, group = os.geteuid(), os.getegid()
    ways = [libc.CLONE_NEWUSER | wanted]
    if user == 0:
        ways.insert(0, wanted)
    ways += [libc.CLONE_NEWUSER | wanted & ~libc.CLONE_NEWNS, wanted & ~libc.CLONE_NEWNS]
    why = ""
    for flags in ways:
        try:
            libc.unshare(flags)
        except OSError as error:
            why = why or error.strerror or str(error)
            continue
        if flags & libc.CLONE_NEWUSER:
            _map_ids(user, group)
        return Separated(
            mounts=bool(flags & libc.CLONE_NEWNS),
            network=bool(flags & libc.CLONE_NEWNET),
            processes=bool(flags & libc.CLONE_NEWPID),
            why=why,
        )
    return Separated(mounts=False, network=False, processes=False, why=why)


def new_root(view: View) -> None:
    """Leave nothing of the file system but what a view names; for a process with mounts of its own.

    Where it fails, the file system is as it was, but for mounts that only this process sees.

    Raises:
        OSError: as the kernel says.
    """
    libc.mount("", "/", flags=libc.MS_REC | libc.MS_PRIVATE)
    scaffold = next((path for path in _SCAFFOLDS if os.path.isdir(path)), "")
    sources: dict[str, int] = {}
    try:
        # Opened before the scaffold covers what lies below it.
        placed = [one.source for one in view.placed]
        for path in (*view.libraries, *view.data, *view.writable, *_DEVICES, *placed):
            with contextlib.suppress(OSError):
                sources[path] = os.open(os.path.realpath(path), os.O_PATH | os.O_CLOEXEC)
        room = "mode=755,size=4m,nr_inodes=4k"
        libc.mount("vedette", scaffold, "tmpfs", libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC, room)
        try:
            # First of all: an interpreter below /tmp is shown there, not covered.
            for path, size in view.fresh:
                os.makedirs(scaffold + path, exist_ok=True)
                flags = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC
                libc.mount("vedette", scaffold + path, "tmpfs", flags, f"mode=1777,size={size}")
            for paths, flags in (
                (view.libraries, libc.MS_RDONLY),
                (view.data, libc.MS_RDONLY | libc.MS_NOEXEC),
                (view.writable, libc.MS_NOEXEC),
                (_DEVICES, 0),
            ):
                for path in filter(sources.__contains__, paths):
                    _show(path, sources[path], scaffold, flags)
            for one in view.placed:
                _place(one, sources[one.source], scaffold)
            for path in view.folders:
                os.makedirs(scaffold + path, exist_ok=True)
            os.chdir(scaffold)
            libc.pivot_root_here()
        except OSError:
            os.chdir("/")
            with contextlib.suppress(OSError):
                libc.unmount(scaffold)
            raise
    finally:
        for descriptor in sources.values():
            os.close(descriptor)
    libc.mount("", "/", flags=libc.MS_REMOUNT | libc.MS_BIND | libc.MS_RDONLY | libc.MS_NOSUID | libc.MS_NOEXEC)


def loopback_up() -> None:
    """Switch on the one interface that a network of one's own has.

    Raises:
        OSError: as the kernel says.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # struct ifreq: a name, and flags; linux/if.h, linux/sockios.h
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP | _IFF_RUNNING))
    # In a network of its own a program may listen on port 80 without being root (ip-sysctl, Linux 4.11).
    with contextlib.suppress(OSError), open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as setting:
        setting.write("0")


def interpreter_files() -> tuple[str, ...]:
    """What this interpreter, its installed packages and their libraries consist of."""
    found = [*sys.path, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))]
    found += [f"{prefix}/lib" for prefix in (sys.prefix, sys.base_prefix)]
    found += [os.environ.get("LD_LIBRARY_PATH", ""), str(sysconfig.get_config_var("LIBDIR") or "")]
    paths = [path for entry in found for path in entry.split(":")]
    return outermost([path for path in (*SYSTEM, *paths) if os.path.isabs(path) and os.path.exists(path)])


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths without those that lie in another one of them, in the order of their names."""
    kept: list[str] = []
    for path in sorted(set(map(os.path.normpath, paths))):
        if not any(path == other or path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    return tuple(kept)


def _map_ids(user: int, group: int) -> None:
    """The one user and group that this process is, under the same numbers."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _place(one: Placed, source: int, scaffold: str) -> None:
    target = scaffold + one.target
    _make(target, folder=os.path.isdir(f"/proc/self/fd/{source}"))
    libc.mount(f"/proc/self/fd/{source}", target, flags=libc.MS_BIND | libc.MS_REC)
    flags = 0 if one.writable else libc.MS_RDONLY
    flags |= 0 if one.runnable else libc.MS_NOEXEC
    flags |= libc.MS_NOSUID | libc.MS_NODEV | _locked(target)
    libc.mount("", target, flags=libc.MS_REMOUNT | libc.MS_BIND | flags)


def _show(path: str, source: int, scaffold: str, flags: int) -> None:
    """Have one file or folder appear at its path below the scaffold."""
    real = os.readlink(f"/proc/self/fd/{source}")
    target = scaffold + real
    if not os.path.lexists(target):
        _make(target, folder=os.path.isdir(f"/proc/self/fd/{source}"))
    libc.mount(f"/proc/self/fd/{source}", target, flags=libc.MS_BIND | libc.MS_REC)
    if flags:
        flags |= libc.MS_NOSUID | libc.MS_NODEV | _locked(target)
        libc.mount("", target, flags=libc.MS_REMOUNT | libc.MS_BIND | flags)
    if path != real:
        _link(path, real, scaffold)


def _link(path: str, real: str, scaffold: str) -> None:
    """A name that leads to the real place; nothing where a folder on the way has been shown, with the name in it."""
    if os.path.lexists(scaffold + path):
        return
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(scaffold + path), exist_ok=True)
        os.symlink(real, scaffold + path)


def _make(target: str, *, folder: bool) -> None:
    os.makedirs(target if folder else os.path.dirname(target), exist_ok=True)
    if not folder:
        os.close(os.open(target, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644))


def _locked(target: str) -> int:
    """Flags of a mount that a user namespace may not take off."""
    found = os.statvfs(target).f_flag
    pairs = (
        (os.ST_NOSUID, libc.MS_NOSUID), (os.ST_NODEV, libc.MS_NODEV), (os.ST_NOEXEC, libc.MS_NOEXEC),
        (os.ST_NOATIME, libc.MS_NOATIME), (os.ST_NODIRATIME, libc.MS_NODIRATIME), (os.ST_RELATIME, libc.MS_RELATIME),
        (os.ST_RDONLY, libc.MS_RDONLY),
    )  # fmt: skip
    return sum(flag for found_flag, flag in pairs if found & found_flag)
