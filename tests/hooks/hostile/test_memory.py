"""What a process that sees pictures does to the memory they are in, and what else it was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.confined import Confined
from tests.hooks.test_hook_pictures import LOOK, Camera, digest, pixels
from vedette.adapters.confinement.walls import Wall

pytestmark = pytest.mark.processes

#: Keeps the descriptor that the process is to close.
KEEP = """
import ctypes, fcntl, gc, mmap, os
from vedette.adapters.hooks.child import pictures
KEPT = []
attach = pictures.Rings.attach
def keeping(self, message, descriptor):
    KEPT.append((os.dup(descriptor), message["total_bytes"]))
    attach(self, message, descriptor)
pictures.Rings.attach = keeping
LIBC = ctypes.CDLL(None, use_errno=True)
def mapped():
    return next(one for one in gc.get_objects() if isinstance(one, pictures.Rings))._rings["gate"].memory
def address():
    import numpy
    return numpy.frombuffer(mapped(), numpy.uint8).ctypes.data
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def on_frame(app, frame):
    descriptor, size = KEPT[0]
    try:
        result = attack(descriptor, size)
    except (OSError, TypeError, ValueError) as error:
        app.alert(f"refused {type(error).__name__} {error}"[:200], key="refused")
    else:
        app.alert(f"got {result!r}"[:200], key="got")
"""

ATTACKS = {
    "write": "os.write(descriptor, b'x' * 64)",
    "write in the middle": "os.pwrite(descriptor, b'x' * 64, 100)",
    "write from several buffers": "os.pwritev(descriptor, [b'x' * 64], 100)",
    "map for writing": "mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)",
    "make the mapping writable": (
        "check(LIBC.mprotect(ctypes.c_void_p(address() & ~4095), ctypes.c_size_t(4096), 3)) or 'writable'"
    ),
    "write into the mapping": "mapped().__setitem__(0, 1)",
    "cut": "os.ftruncate(descriptor, 0) or 'cut'",
    "grow": "os.ftruncate(descriptor, 1 << 40) or 'grown'",
    "allocate": "os.posix_fallocate(descriptor, 0, 1 << 30) or 'allocated'",
    "punch a hole": "check(LIBC.fallocate(descriptor, 3, ctypes.c_long(0), ctypes.c_long(4096))) or 'hole'",
    "seal": "fcntl.fcntl(descriptor, 1033, 8)",
    "open anew": "os.open(f'/proc/self/fd/{descriptor}', os.O_RDWR)",
    "open anew by its number": "os.open(f'/proc/{os.getpid()}/fd/{descriptor}', os.O_RDWR)",
    "open anew by the device": "os.open(f'/dev/fd/{descriptor}', os.O_RDWR)",
    "take it from others": "os.fchmod(descriptor, 0) or 'changed'",
    "punch a hole by advice": (
        "check(LIBC.madvise(ctypes.c_void_p(address() & ~4095), ctypes.c_size_t(4096), 9)) or 'hole'"
    ),
    "lease": "fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)",
    "change its flags": "fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_RDWR) or os.pwrite(descriptor, b'x', 0)",
    "copy another file into it": "os.copy_file_range(os.open('in', os.O_CREAT | os.O_RDWR), descriptor, 64)",
    "send a file into it": "os.sendfile(descriptor, os.open('in', os.O_CREAT | os.O_RDWR), 0, 64)",
}


@pytest.fixture
def make(short_tmp: Path) -> Iterator[Any]:
    made: list[Camera] = []

    def camera(attack: str, **options: Any) -> Camera:
        made.append(Camera(short_tmp, f"{KEEP}\ndef attack(descriptor, size):\n    return {attack}\n", **options))
        made[-1].one.start()
        return made[-1]

    yield camera
    for one in made:
        one.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_pictures_cannot_be_changed(make: Any, short_tmp: Path, name: str) -> None:
    camera = make(ATTACKS[name])
    picture = pixels(64, 48)
    camera.publish(1, picture)
    reply = camera.show()
    assert reply is not None
    assert reply.alerts[0].message.startswith("refused"), reply.alerts[0].message
    # Whoever else looks at the same picture sees it as it was taken.
    camera.one.runner.close()
    camera.one.write("hooks.py", LOOK)
    camera.one.start()
    camera.publish(2, picture, t_s=2.0)
    again = camera.show()
    assert again is not None
    assert again.alerts[0].message.endswith(digest(picture))


@pytest.mark.parametrize("name", ["open anew", "open anew by its number"])
def test_without_walls_they_could(make: Any, name: str) -> None:
    """The memory itself is open to whoever opens it anew; that is what the walls are in the way of."""
    camera = make(ATTACKS[name], forgo=list(Wall), trust=True)
    camera.publish(1, pixels(64, 48))
    reply = camera.show()
    assert reply is not None
    assert reply.alerts[0].message.startswith("got"), reply.alerts[0].message


def test_it_was_given_nothing_else(short_tmp: Path) -> None:
    source = """
import os, stat
def on_tracks(app, batch):
    for number in range(256):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        kind = "socket" if stat.S_ISSOCK(mode) else "pipe" if stat.S_ISFIFO(mode) else "device" \\
            if stat.S_ISCHR(mode) else "directory" if stat.S_ISDIR(mode) else "file"
        app.alert(f"{number} {kind}", key=str(number))
"""
    one = Confined(short_tmp, source)
    try:
        one.start()
        found = [line.split() for line in one.says()]
        assert [kind for _, kind in found] == ["device", "pipe", "pipe", "socket", "socket"], found
    finally:
        one.close()
