"""Attacks on files: of the device, of other applications, and of its own."""

from __future__ import annotations

import ctypes
import json
import os
import struct
from pathlib import Path

from tests.hooks.hostile.tools import LIBC, TARGETS, attack, raw


@attack
def read_the_journal() -> object:
    return Path(TARGETS["journal"]).read_bytes()[:16]


@attack
def read_the_outbox() -> object:
    return Path(TARGETS["outbox"]).read_bytes()[:16]


@attack
def read_a_secret() -> object:
    return Path(TARGETS["secret"]).read_text()


@attack
def read_the_plan() -> object:
    return Path(TARGETS["plan"]).read_text()[:16]


@attack
def read_its_own_position() -> object:
    return Path(TARGETS["store"]).read_bytes()[:16]


@attack
def read_another_applications_files() -> object:
    return Path(TARGETS["other_data"], "private.txt").read_text()


@attack
def read_passwd() -> object:
    return Path("/etc/passwd").read_text()[:16]


@attack
def list_the_state_directory() -> object:
    return os.listdir(TARGETS["state"])


@attack
def list_the_root() -> object:
    return os.listdir("/")


@attack
def ask_whether_the_journal_exists() -> object:
    return os.stat(TARGETS["journal"]).st_size


@attack
def write_into_the_application() -> object:
    path = Path(__file__).parent / "planted.py"
    path.write_text("planted")
    return path.read_text()


@attack
def write_its_own_code() -> object:
    return os.open(__file__, os.O_RDWR)


@attack
def write_to_tmp() -> object:
    path = Path("/tmp/planted-by-a-hook")
    path.write_text("x")
    path.unlink()
    return "written"


@attack
def write_into_an_installed_package() -> object:
    path = Path(json.__file__).with_name("planted.py")
    path.write_text("x")
    path.unlink()
    return "written"


@attack
def overwrite_the_journal() -> object:
    with open(TARGETS["scratch"], "r+b") as file:
        return file.write(b"x")


@attack
def truncate_by_path() -> object:
    os.truncate(TARGETS["scratch"], 0)
    return "truncated"


@attack
def remove_by_path() -> object:
    os.unlink(TARGETS["removable"])
    return "removed"


@attack
def rename_into_its_own_directory() -> object:
    os.rename(TARGETS["movable"], "mine")
    return Path("mine").read_text()


@attack
def link_into_its_own_directory() -> object:
    os.link(TARGETS["scratch"], "hard")
    return Path("hard").read_bytes()


@attack
def follow_a_symbolic_link_of_its_own() -> object:
    os.symlink(TARGETS["secret"], "soft")
    return Path("soft").read_text()


@attack
def change_a_mode_by_path() -> object:
    os.chmod(TARGETS["scratch"], 0o666)
    return "changed"


@attack
def change_times_by_path() -> object:
    os.utime(TARGETS["scratch"], (0, 0))
    return "changed"


@attack
def set_an_attribute_by_path() -> object:
    os.setxattr(TARGETS["scratch"], "user.planted", b"x")
    return "set"


@attack
def make_a_setuid_file() -> object:
    descriptor = os.open("suid", os.O_CREAT | os.O_RDWR, 0o700)
    os.fchmod(descriptor, 0o4755)
    return oct(os.fstat(descriptor).st_mode)


@attack
def make_a_device() -> object:
    os.mknod("disk", 0o60660, os.makedev(8, 0))
    return "made"


@attack
def make_a_pipe_with_a_name() -> object:
    os.mkfifo("pipe")
    return "made"


@attack
def make_an_invisible_file() -> object:
    return os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)


@attack
def watch_the_journal() -> object:
    descriptor = LIBC.inotify_init1(0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    return LIBC.inotify_add_watch(descriptor, TARGETS["journal"].encode(), 2)


@attack
def open_a_file_by_handle() -> object:
    handle, mount = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128)), ctypes.c_int()
    raw(303, 264, -100, TARGETS["scratch"].encode(), handle, ctypes.byref(mount), 0)
    return raw(304, 265, -100, handle, os.O_RDONLY)


@attack
def leave_through_its_parent() -> object:
    os.chdir("..")
    return Path(os.path.relpath(TARGETS["secret"])).read_text()


@attack
def leave_its_root() -> object:
    os.chroot(".")
    return "left"
