from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.supervision.test_supervisor import PROGRAM, TEMPLATE, Watched, gone
from vedette.adapters.supervision import ChildSpec


@pytest.fixture
def watched() -> Iterator[Watched]:
    instance = Watched()
    yield instance
    instance.supervisor.stop()


def copied(name: str, mode: str = "beat", *arguments: str) -> ChildSpec:
    return ChildSpec(name, (sys.executable, PROGRAM), {"mode": mode}, template=(*TEMPLATE, *arguments))


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def template_pid(child: int) -> int:
    """The one process with the same command line that is not a child being supervised."""
    same = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # others come and go
            pid = int(entry.name) if entry.name.isdigit() else 0
            if pid and pid != child and parent(pid) == os.getpid() and command(pid) == command(child):
                same.append(pid)
    return min(same)


def test_children_are_copies_and_belong_to_the_supervisor(watched: Watched) -> None:
    watched.supervisor.set_children([copied("a"), copied("b")])
    watched.until(lambda: bool(watched.hellos("a") and watched.hellos("b")))
    pids = watched.supervisor.pids()
    for name, pid in pids.items():
        assert watched.hellos(name)[0]["hello"] == pid
        assert "template_program" in command(pid)
        assert parent(pid) == os.getpid()
        assert os.getpgid(pid) == pid, "Ctrl-C in a terminal is the supervisor's"
    assert len(set(pids.values())) == 2


def test_a_copy_that_is_killed_is_replaced_and_told_why(watched: Watched) -> None:
    watched.supervisor.set_children([copied("a")])
    watched.until(lambda: len(watched.hellos("a")) == 1)
    os.kill(watched.supervisor.pids()["a"], signal.SIGKILL)
    watched.until(lambda: len(watched.hellos("a")) == 2)
    assert watched.hellos("a")[1]["reason"] == "it was ended by SIGKILL"
    assert "template_program" in command(watched.supervisor.pids()["a"])


def test_exit_codes_of_copies_are_told(watched: Watched) -> None:
    watched.supervisor.set_children([copied("a", "crash")])
    watched.until(lambda: bool(watched.exits))
    assert watched.exits[0] == ("a", "it ended with exit code 7")


def test_copies_outlive_what_they_were_copied_from(watched: Watched) -> None:
    watched.supervisor.set_children([copied("a")])
    watched.until(lambda: len(watched.hellos("a")) == 1)
    pid = watched.supervisor.pids()["a"]
    original = template_pid(pid)
    os.kill(original, signal.SIGKILL)
    watched.until(lambda: gone(original) or not watched.changed.wait(0.05))
    beats = len(watched.seen)
    watched.until(lambda: len(watched.seen) > beats + 2)
    assert watched.supervisor.pids()["a"] == pid
    assert watched.exits == []
    os.kill(pid, signal.SIGKILL)  # and without it, children are started from their own program
    watched.until(lambda: len(watched.hellos("a")) == 2)
    assert "child_program" in command(watched.supervisor.pids()["a"])


def test_what_cannot_be_copied_is_started(watched: Watched) -> None:
    watched.supervisor.set_children([copied("a", "beat", "threads")])
    watched.until(lambda: len(watched.hellos("a")) == 1)
    assert "child_program" in command(watched.supervisor.pids()["a"])


def test_copies_have_no_token(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVCUID", "secret-token")
    watched.supervisor.set_children([copied("a")])
    watched.until(lambda: any("token" in message for _, message in watched.seen))
    assert all(message.get("token", "") == "" for _, message in watched.seen)
