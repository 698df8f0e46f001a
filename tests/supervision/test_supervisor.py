from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.adapters.supervision import ChildSpec, Supervisor
from vedette.adapters.supervision import supervisor as supervisor_module
from vedette.adapters.supervision.lines import LINE_LIMIT_BYTES, LineReader, encode

PROGRAM = str(Path(__file__).with_name("child_program.py"))
#: What children may be copied from.
TEMPLATE = (sys.executable, "-m", "tests.supervision.template_program")
PARENT = str(Path(__file__).with_name("parent_program.py"))


class Watched:
    """A supervisor and everything its children said, with waiting."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict]] = []
        self.exits: list[tuple[str, str]] = []
        self.changed = threading.Condition()
        self.supervisor = Supervisor(self._message, self._exit, jitter=lambda: 0.1)
        self.supervisor.start()

    def _message(self, name: str, message: dict) -> None:
        with self.changed:
            self.seen.append((name, message))
            self.changed.notify_all()

    def _exit(self, name: str, reason: str) -> None:
        with self.changed:
            self.exits.append((name, reason))
            self.changed.notify_all()

    def until(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), (self.exits, self.seen[-5:])

    def hellos(self, name: str) -> list[dict]:
        return [message for who, message in self.seen if who == name and "hello" in message]


@pytest.fixture
def watched() -> Iterator[Watched]:
    instance = Watched()
    yield instance
    instance.supervisor.stop()


def child(name: str, mode: str, **limits: float) -> ChildSpec:
    return ChildSpec(name, (sys.executable, PROGRAM), {"mode": mode}, **limits)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_child_that_crashes_is_replaced_and_told_why(watched: Watched) -> None:
    watched.supervisor.set_children([child("cam", "crash-later")])
    watched.until(lambda: len(watched.hellos("cam")) >= 2)
    assert watched.exits[0] == ("cam", "it was ended by SIGSEGV")
    assert watched.hellos("cam")[1]["reason"] == "it was ended by SIGSEGV"
    assert watched.hellos("cam")[1]["restarts"] == 1


def test_a_hung_child_is_killed_within_its_limit(watched: Watched) -> None:
    watched.supervisor.set_children([child("cam", "hang", silence_limit_s=0.5)])
    watched.until(lambda: len(watched.hellos("cam")) == 1)
    start_s = time.monotonic()
    watched.until(lambda: bool(watched.exits))
    assert 0.3 < time.monotonic() - start_s < 1.0
    assert watched.exits[0] == ("cam", "no sign of life for 0.5 s")
    assert gone(watched.hellos("cam")[0]["hello"])


def test_a_child_that_says_it_stalled_is_replaced_at_once(watched: Watched) -> None:
    watched.supervisor.set_children([child("cam", "stalled")])
    watched.until(lambda: len(watched.hellos("cam")) >= 2)
    assert watched.hellos("cam")[1]["reason"] == "no packet for 2.0 s"


def test_failing_at_start_slows_down_and_does_not_disturb_others(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "QUICK_FAILURE_WAIT_S", (0.05, 0.1, 0.2, 0.8))
    watched.supervisor.set_children([child("bad", "crash"), child("good", "beat")])
    watched.until(lambda: len(watched.hellos("bad")) == 4)
    times_s: list[float] = []
    watched.until(lambda: len(watched.hellos("good")) == 1)
    for _ in range(2):
        count = len(watched.hellos("bad"))
        watched.until(lambda c=count: len(watched.hellos("bad")) > c)  # type: ignore[misc]
        times_s.append(time.monotonic())
    assert times_s[1] - times_s[0] > 0.7
    assert len(watched.hellos("good")) == 1
    assert ("bad", "it ended with exit code 7") in watched.exits


def test_changed_children_restart_and_removed_ones_end(watched: Watched) -> None:
    watched.supervisor.set_children([child("a", "beat"), child("b", "beat")])
    watched.until(lambda: len(watched.hellos("a")) == 1 and len(watched.hellos("b")) == 1)
    first = watched.supervisor.pids()
    watched.supervisor.set_children([ChildSpec("a", (sys.executable, PROGRAM), {"mode": "beat", "new": 1})])
    watched.until(lambda: len(watched.hellos("a")) == 2)
    watched.until(lambda: gone(first["b"]) or not watched.changed.wait(0.05))
    assert watched.supervisor.pids().keys() == {"a"}
    assert watched.exits == []  # nothing failed


def test_a_live_value_reaches_the_running_child_and_the_next_one(watched: Watched) -> None:
    def spec(mode: str) -> ChildSpec:
        return ChildSpec("a", (sys.executable, PROGRAM), {}, live={"mode": mode})

    watched.supervisor.set_children([spec("beat")])
    watched.until(lambda: len(watched.hellos("a")) == 1)
    assert watched.hellos("a")[0]["mode"] == "beat"
    watched.supervisor.set_children([spec("beat")])
    watched.supervisor.set_children([spec("other")])
    watched.until(lambda: any(message.get("told") for _, message in watched.seen))
    assert watched.exits == []
    assert max(message.get("told", 0) for _, message in watched.seen) == 1, "told once, of the change only"
    watched.supervisor.restart("a", "the test asks for it")
    watched.until(lambda: len(watched.hellos("a")) == 2)
    assert watched.hellos("a")[1]["mode"] == "other"


def test_a_child_that_does_not_leave_is_killed(watched: Watched) -> None:
    watched.supervisor.set_children([child("a", "stubborn", stop_limit_s=0.2)])
    watched.until(lambda: len(watched.hellos("a")) == 1)
    pid = watched.supervisor.pids()["a"]
    start_s = time.monotonic()
    watched.supervisor.stop()
    assert time.monotonic() - start_s < 1.0
    assert gone(pid)


def test_messages_reach_the_child_and_the_token_does_not(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVCUID", "secret-token")
    watched.supervisor.set_children(
        [child("plain", "beat"), ChildSpec("trusted", (sys.executable, PROGRAM), {"mode": "beat"}, greengrass=True)]
    )
    watched.until(lambda: len(watched.hellos("plain")) == 1 and len(watched.hellos("trusted")) == 1)
    watched.supervisor.send("plain", {"fps": 5})
    watched.until(lambda: any(name == "plain" and m.get("told") == 1 for name, m in watched.seen))
    assert {m["token"] for name, m in watched.seen if name == "plain" and "token" in m} == {""}
    watched.until(lambda: any(name == "trusted" and m.get("token") == "secret-token" for name, m in watched.seen))


@pytest.mark.parametrize("template", [(), TEMPLATE], ids=["started", "copied"])
def test_children_go_when_their_supervisor_is_killed(template: tuple[str, ...]) -> None:
    parent = subprocess.Popen([sys.executable, PARENT, PROGRAM, *template], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline_s = time.monotonic() + 1.0
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < deadline_s, "children outlived their supervisor by a second"
        time.sleep(0.01)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "with its children"])
def test_supervisor_that_was_stopped_blames_no_child(together: bool) -> None:
    parent = subprocess.Popen([sys.executable, PARENT, PROGRAM], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    stopped = [parent.pid, *(pids if together else [])]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in stopped:
            os.kill(pid, number)
        time.sleep(3.0 if number == signal.SIGSTOP else 1.0)  # the limit is two seconds
    found = [gone(pid) for pid in pids]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert found == [False, False]


@pytest.mark.parametrize("template", [(), TEMPLATE], ids=["started", "copied"])
def test_descriptors_and_zombies_do_not_grow(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, template: tuple[str, ...]
) -> None:
    monkeypatch.setattr(supervisor_module, "QUICK_FAILURE_S", 0.0)
    watched.supervisor.set_children([ChildSpec("cam", (sys.executable, PROGRAM), {"mode": "beat"}, template=template)])
    watched.until(lambda: len(watched.hellos("cam")) == 1)
    before = len(os.listdir("/proc/self/fd"))
    pids = set()
    for round_number in range(2, 12):
        pids.add(watched.supervisor.pids()["cam"])
        os.kill(watched.hellos("cam")[-1]["hello"], signal.SIGKILL)
        watched.until(lambda n=round_number: len(watched.hellos("cam")) == n)  # type: ignore[misc]
    assert len(os.listdir("/proc/self/fd")) <= before
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("template", [(), TEMPLATE], ids=["started", "copied"])
def test_a_child_whose_end_could_not_be_seen_is_ended_and_started_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, template: tuple[str, ...]
) -> None:
    """The last descriptor that a child needs is one too many."""
    monkeypatch.setattr(supervisor_module, "QUICK_FAILURE_WAIT_S", (0.1,))
    refused: list[int] = []
    pidfd_open = os.pidfd_open

    def none_left(pid: int) -> int:
        if len(refused) < 3:
            refused.append(pid)
            raise OSError(errno.EMFILE, "Too many open files")
        return pidfd_open(pid)

    monkeypatch.setattr(os, "pidfd_open", none_left)
    watched.supervisor.set_children([ChildSpec("cam", (sys.executable, PROGRAM), {"mode": "beat"}, template=template)])
    watched.until(lambda: len(watched.hellos("cam")) == 1)
    assert len(refused) == 3
    assert all(not Path(f"/proc/{pid}").exists() for pid in refused)


def test_starting_a_child_by_hand_says_what_is_wrong() -> None:
    result = subprocess.run([sys.executable, PROGRAM], input="", capture_output=True, text=True)
    assert "V605" in result.stderr


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)), st.data())
def test_lines_survive_any_cutting(messages: list[dict], data: st.DataObject) -> None:
    stream = b"".join(encode(message) for message in messages)
    reader = LineReader()
    received = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += list(reader.feed(stream[:size]))
        stream = stream[size:]
    assert received == messages
    assert reader.refused == 0


def test_garbage_and_endless_lines_are_skipped() -> None:
    reader = LineReader()
    assert list(reader.feed(b"not json\n[1]\n\n" + b"x" * (LINE_LIMIT_BYTES + 5))) == []
    assert list(reader.feed(b'tail\n{"a":1}\n')) == [{"a": 1}]
    assert reader.refused == 3


def test_who_goes_first_where_memory_is_short_is_told_to_the_kernel(watched: Watched) -> None:
    specs = [replace(child(f"rank {rank}", "well"), gives_way=rank) for rank in (0, 300)]
    watched.supervisor.set_children([*specs, replace(specs[1], name="copied", template=TEMPLATE)])
    for name, wanted in (("rank 0", "0"), ("rank 300", "300"), ("copied", "300")):
        watched.until(lambda name=name: bool(watched.hellos(name)))  # type: ignore[misc]
        found = Path(f"/proc/{watched.supervisor.pids()[name]}/oom_score_adj").read_text().strip()
        assert found == wanted, name
