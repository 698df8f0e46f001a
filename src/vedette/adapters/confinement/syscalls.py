"""Numbers of the system calls that a confined process may make, and of some that are answered with words of their own.

Source: the kernel's ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h`` (aarch64).
"""

from __future__ import annotations

from typing import Final

#: Name → number on x86_64 and aarch64; None where the machine has no such call.
Numbers = dict[str, tuple[int | None, int | None]]

#: Allowed with any arguments: what an interpreter with threads, files it may open and sockets it was given needs.
FREE: Final[Numbers] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "close_range": (436, 436), "stat": (4, None),
    "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "statfs": (137, 43),
    "fstatfs": (138, 44), "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "lseek": (8, 62), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216), "msync": (26, 227),
    "mincore": (27, 232), "madvise": (28, 233), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "signalfd4": (289, 74), "pread64": (17, 67),
    "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69), "pwritev": (296, 70),
    "preadv2": (327, 286), "pwritev2": (328, 287), "sendfile": (40, 71), "copy_file_range": (326, 285),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "pipe": (22, None), "pipe2": (293, 59),
    "sched_yield": (24, 124), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pause": (34, None),
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "getitimer": (36, 102), "setitimer": (38, 103),
    "alarm": (37, None), "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getresuid": (118, 148),
    "getresgid": (120, 150), "getgroups": (115, 158), "getpgrp": (111, None), "getpgid": (121, 155),
    "getsid": (124, 156), "getpriority": (140, 141), "capget": (125, 90), "uname": (63, 160),
    "sysinfo": (99, 179), "times": (100, 153), "getrusage": (98, 165), "getrlimit": (97, 163),
    "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212), "shutdown": (48, 210),
    "getsockname": (51, 204), "getpeername": (52, 205), "getsockopt": (55, 209), "exit": (60, 93),
    "exit_group": (231, 94), "wait4": (61, 260), "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83),
    "sync_file_range": (277, 84), "ftruncate": (77, 46), "fallocate": (285, 47), "fadvise64": (221, 223),
    "getdents": (78, None), "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, None),
    "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "readlink": (89, None),
    "readlinkat": (267, 78), "umask": (95, 166), "gettimeofday": (96, 169), "time": (201, None),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "timer_create": (222, 107),
    "timer_settime": (223, 110), "timer_gettime": (224, 108), "timer_getoverrun": (225, 109),
    "timer_delete": (226, 111), "timerfd_create": (283, 85), "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87), "futex": (202, 98), "set_tid_address": (218, 96), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "rseq": (334, 293), "membarrier": (324, 283), "restart_syscall": (219, 128),
    "sched_getaffinity": (204, 123), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "sched_rr_get_interval": (148, 127), "getcpu": (309, 168), "getrandom": (318, 278), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "eventfd": (284, None), "eventfd2": (290, 19),
}  # fmt: skip

#: Allowed with some arguments only; see ``seccomp``.
CHECKED: Final[Numbers] = {
    "open": (2, None), "openat": (257, 56), "mmap": (9, 222), "mprotect": (10, 226), "ioctl": (16, 29),
    "fcntl": (72, 25), "utimensat": (280, 88), "socketpair": (53, 199),
    "setsockopt": (54, 208), "clone": (56, 220), "prctl": (157, 167), "prlimit64": (302, 261), "kill": (62, 129),
    "tgkill": (234, 131),
}  # fmt: skip

#: Refused with an answer that makes libraries take another way (the value is the error number).
ANSWERED: Final[dict[str, tuple[int | None, int | None, int]]] = {
    "clone3": (435, 435, 38),  # ENOSYS: glibc falls back to clone, whose flags can be looked at
    "openat2": (437, 437, 38),
    "futex_waitv": (449, 449, 38),
    "getxattr": (191, 8, 95),  # EOPNOTSUPP: copying files goes on without
    "lgetxattr": (192, 9, 95),
    "fgetxattr": (193, 10, 95),
    "listxattr": (194, 11, 95),
    "llistxattr": (195, 12, 95),
    "flistxattr": (196, 13, 95),
}

#: Besides FREE, for whole programs with a network of their own: processes, sockets, links, named pipes.
PROGRAMS: Final[Numbers] = {
    "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242), "bind": (49, 200), "listen": (50, 201),
    "sendmmsg": (307, 269), "recvmmsg": (299, 243), "execve": (59, 221), "fork": (57, None), "vfork": (58, None),
    "waitid": (247, 95), "setpgid": (109, 154), "setsid": (112, 157), "arch_prctl": (158, None),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "chmod": (90, None),
    "fchmod": (91, 52), "fchmodat": (268, 53), "truncate": (76, 45), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "inotify_rm_watch": (255, 28), "sched_setaffinity": (203, 122), "setpriority": (141, 140), "mprotect": (10, 226),
    "setsockopt": (54, 208), "utimensat": (280, 88), "tgkill": (234, 131), "tkill": (200, 130),
}  # fmt: skip

#: Besides CHECKED, for whole programs.
PROGRAMS_CHECKED: Final[Numbers] = {"socket": (41, 198), "mknod": (133, None), "mknodat": (259, 33)}
