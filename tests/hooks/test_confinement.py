"""The filter of system calls, judged by an interpreter of our own for both machines; Landlock for real."""

from __future__ import annotations

import errno
import platform
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from vedette.adapters.confinement import landlock, namespaces
from vedette.adapters.confinement.seccomp import program
from vedette.adapters.confinement.syscalls import ANSWERED, CHECKED, FREE

PROCESS = 4321
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMN = {"x86_64": 0, "aarch64": 1}
MACHINES = sorted(AUDIT)
ALLOW, KILL = "allow", "kill"

#: Calls that a confined process must never make, with their numbers on x86_64 and aarch64.
FORBIDDEN = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmmsg": (307, 269), "fork": (57, None), "vfork": (58, None), "execve": (59, 221),
    "execveat": (322, 281), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280),
    "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "memfd_create": (319, 279), "memfd_secret": (447, 447), "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55), "fchownat": (260, 54),
    "truncate": (76, 45), "setxattr": (188, 5), "symlinkat": (266, 36), "linkat": (265, 37), "mknodat": (259, 33),
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "splice": (275, 76), "tee": (276, 77), "vmsplice": (278, 75), "capset": (126, 91), "setuid": (105, 146),
    "setresuid": (117, 147), "setgroups": (116, 159), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "setrlimit": (160, 164), "personality": (135, 92),
    "seccomp": (317, 277), "landlock_create_ruleset": (444, 444), "reboot": (169, 142), "swapon": (167, 224),
    "init_module": (175, 105), "finit_module": (313, 273), "kexec_load": (246, 104), "iopl": (172, None),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "inotify_init1": (294, 26), "move_pages": (279, 239), "migrate_pages": (256, 238), "kcmp": (312, 272),
    "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "quotactl": (179, 60), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "process_madvise": (440, 440), "pkey_mprotect": (329, 288),
    "remap_file_pages": (216, 234), "setsid": (112, 157), "setpgid": (109, 154), "vhangup": (153, 58),
    "acct": (163, 89), "syslog": (103, 116), "lookup_dcookie": (212, 18), "utimes": (235, None),
}  # fmt: skip


def judge(machine: str, number: int, arguments: Sequence[int] = (), audit: int | None = None) -> str:
    """What the filter says of a call: allow, kill, or the error's name."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number, AUDIT[machine] if audit is None else audit, 0, *padded)
    code = program(machine, PROCESS)
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("=HBBI", code, at * 8)
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x06:
                action, detail = value & 0xFFFF0000, value & 0xFFFF
                return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(action) or errno.errorcode[detail]
            case _:
                raise AssertionError(hex(operation))


@pytest.mark.parametrize("machine", MACHINES)
def test_what_an_interpreter_needs_is_allowed(machine: str) -> None:
    for name, numbers in FREE.items():
        number = numbers[COLUMN[machine]]
        if number is not None:
            assert judge(machine, number) == ALLOW, name


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_else_is(machine: str) -> None:
    column = COLUMN[machine]
    for name, numbers in FORBIDDEN.items():
        if numbers[column] is not None:
            assert judge(machine, numbers[column] or 0) == "EPERM", name
    listed = {entry[column] for table in (FREE, CHECKED, ANSWERED) for entry in table.values()}
    for number in range(600):
        if number not in listed:
            assert judge(machine, number) == "EPERM", number


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_in_another_numbering_ends_the_process(machine: str) -> None:
    for audit in (0x40000003, 0x40000028, 0xC000003E, 0xC00000B7):  # i386, arm, x86-64, aarch64
        assert (judge(machine, 1, audit=audit) == KILL) == (audit != AUDIT[machine])
    if machine == "x86_64":
        assert judge(machine, 0x40000000 | 41) == KILL, "x32"


CHECKED_CALLS = [
    ("mmap", (0, 4096, 1, 0x22), ALLOW), ("mmap", (0, 4096, 3, 0x22), ALLOW), ("mmap", (0, 4096, 1, 1), ALLOW),
    ("mmap", (0, 4096, 5, 2), ALLOW),  # a library's text
    ("mmap", (0, 4096, 5, 0x22), "EPERM"), ("mmap", (0, 4096, 7, 2), "EPERM"), ("mmap", (0, 4096, 5, 1), "EPERM"),
    ("mmap", (0, 4096, 4, 0x22), "EPERM"), ("mmap", (0, 4096, 3, 0x21), "EPERM"),
    ("mprotect", (0, 4096, 1), ALLOW), ("mprotect", (0, 4096, 3), ALLOW), ("mprotect", (0, 4096, 5), "EPERM"),
    ("mprotect", (0, 4096, 7), "EPERM"),
    ("openat", (0, 0, 0), ALLOW), ("openat", (0, 0, 0o101), ALLOW), ("openat", (0, 0, 0o20200002), "EPERM"),
    ("ioctl", (0, 0x5401), ALLOW), ("ioctl", (0, 0x5412), "ENOTTY"), ("ioctl", (0, 0x8933), "ENOTTY"),
    ("fcntl", (0, 3), ALLOW), ("fcntl", (0, 1034), ALLOW), ("fcntl", (0, 8), "EPERM"), ("fcntl", (0, 1033), "EPERM"),
    ("utimensat", (3, 0, 0, 0), ALLOW), ("utimensat", (3, 1 << 32, 0, 0), "EPERM"),
    ("utimensat", (3, 7, 0, 0), "EPERM"),
    ("socketpair", (1, 1, 0), ALLOW), ("socketpair", (1, 0o2000001, 0), ALLOW),
    ("socketpair", (1, 2, 0), "EPERM"), ("socketpair", (1, 5, 0), "EPERM"), ("socketpair", (2, 1, 0), "EPERM"),
    ("setsockopt", (3, 1, 20), ALLOW), ("setsockopt", (3, 6, 1), "ENOPROTOOPT"),
    ("setsockopt", (3, 1, 26), "ENOPROTOOPT"),
    ("clone", (0x3D0F00,), ALLOW), ("clone", (0x1200011,), "EPERM"), ("clone", (0x3D0F00 | 0x10000000,), "EPERM"),
    ("clone", (0x10000 | 0x40000000,), "EPERM"), ("clone", (0x4100,), "EPERM"),
    ("prctl", (15,), ALLOW), ("prctl", (1,), "EPERM"), ("prctl", (4,), "EPERM"), ("prctl", (22,), "EPERM"),
    ("prctl", (0x59616D61,), "EPERM"),
    ("prlimit64", (0, 7), ALLOW), ("prlimit64", (PROCESS, 7), ALLOW), ("prlimit64", (1, 7), "EPERM"),
    ("kill", (PROCESS, 9), ALLOW), ("kill", (1, 9), "EPERM"), ("kill", (0, 9), "EPERM"),
    ("kill", (0xFFFFFFFF, 9), "EPERM"), ("kill", (0xFFFFFFFFFFFFFFFF, 9), "EPERM"),
    ("tgkill", (PROCESS, 5, 6), ALLOW), ("tgkill", (1, 5, 6), "EPERM"),
]  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "arguments", "wanted"), CHECKED_CALLS)
def test_arguments_are_looked_at(machine: str, name: str, arguments: tuple[int, ...], wanted: str) -> None:
    number = CHECKED[name][COLUMN[machine]]
    assert number is not None
    assert judge(machine, number, arguments) == wanted


@pytest.mark.parametrize("machine", MACHINES)
def test_some_are_answered_so_that_libraries_take_another_way(machine: str) -> None:
    for name, entry in ANSWERED.items():
        assert judge(machine, entry[COLUMN[machine]] or 0) == errno.errorcode[entry[2]], name


def test_the_numbers_are_those_of_the_kernels_headers() -> None:
    x86 = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    generic = Path("/usr/include/asm-generic/unistd.h")
    if not (x86.exists() and generic.exists()):
        pytest.skip("needs the kernel's headers (linux-libc-dev)")
    known = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", x86.read_text())}
    other = {n: int(v) for n, v in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", generic.read_text())}
    other["newfstatat"] = other.get("fstatat", 79)
    tables = [(name, entry[:2]) for table in (FREE, CHECKED, ANSWERED, FORBIDDEN) for name, entry in table.items()]
    for name, (mine, theirs) in tables:
        if name in known:
            assert known[name] == mine, name
        if theirs is not None and name in other:
            assert other[name] == theirs, name


def test_a_machine_whose_numbers_are_not_known_is_said() -> None:
    with pytest.raises(OSError, match="riscv64"):
        program("riscv64", 1)


def test_folders_inside_others_are_not_named_twice() -> None:
    assert namespaces.outermost(["/usr/lib", "/usr", "/usrlib", "/opt/a/", "/opt/a/b"]) == ("/opt/a", "/usr", "/usrlib")


def test_the_interpreters_files_are_named() -> None:
    files = namespaces.interpreter_files()
    for needed in (Path(re.__file__), Path(landlock.__file__), Path(pytest.__file__)):
        assert any(str(needed).startswith(f"{path}/") for path in files), needed
    for private in (
        "/etc/passwd",
        "/etc/shadow",
        "/root",
        "/home",
        "/var/lib",
        "/etc/ssl/private",
        "/proc",
        "/dev/shm",
    ):
        assert not any(private == path or private.startswith(f"{path}/") for path in files), private


LANDLOCK = """
import sys
from pathlib import Path
from vedette.adapters.confinement import landlock, libc
folder = Path(sys.argv[1])
libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
landlock.restrict(["/usr/lib", str(folder / "read")], [str(folder / "write")], [str(folder / "full")])
def attempt(name, action):
    try:
        action()
        print(name, "yes")
    except OSError as error:
        print(name, error.strerror)
attempt("read", lambda: (folder / "read" / "a").read_text())
attempt("read-write", lambda: (folder / "read" / "a").write_text("x"))
attempt("read-remove", lambda: (folder / "read" / "a").unlink())
attempt("write", lambda: (folder / "write" / "b").write_text("x"))
attempt("write-mkdir", lambda: (folder / "write" / "d").mkdir())
attempt("write-rename", lambda: (folder / "write" / "b").rename(folder / "write" / "d" / "b"))
attempt("write-symlink", lambda: (folder / "write" / "s").symlink_to("/etc"))
attempt("full-read", lambda: (folder / "full" / "c").read_text())
attempt("full-write", lambda: (folder / "full" / "c").write_text("more"))
attempt("full-make", lambda: (folder / "full" / "e").write_text("more"))
attempt("full-remove", lambda: (folder / "full" / "c").unlink())
attempt("other", lambda: (folder / "other" / "z").read_text())
attempt("list", lambda: list(folder.iterdir()))
attempt("parent", lambda: (folder / "write" / ".." / "other" / "z").read_text())
"""


def test_landlock_allows_what_is_named_and_no_more(tmp_path: Path) -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    for folder, file in (("read", "a"), ("write", "w"), ("full", "c"), ("other", "z")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("content")
    done = subprocess.run(
        [sys.executable, "-c", LANDLOCK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=30
    )
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    allowed = {name for name, answer in said.items() if answer == "yes"}
    assert allowed == {"read", "write", "write-mkdir", "write-rename", "full-read", "full-remove"}, said


def test_this_machine_is_one_of_those_that_are_known() -> None:
    assert platform.machine() in AUDIT
