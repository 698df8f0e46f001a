"""A child that the machine gives no processor is not one that hangs."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.supervision.test_supervisor import Watched, child, watched
from vedette.adapters import starved
from vedette.adapters.starved import PATIENCE_S, waited_s, waits_s
from vedette.adapters.supervision import child as child_module

__all__ = ["watched"]

SPIN = "print(flush=True)\nwhile True: pass"


@contextmanager
def programs(text: str, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Programs that share one processor, once they run."""
    running = [subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not waits_s(os.getpid()), reason="this kernel does not count (no /proc/PID/schedstat)")
def test_waiting_for_a_processor_is_told_from_waiting_for_anything_else() -> None:
    idle = "import threading\nprint(flush=True)\nthreading.Event().wait()"
    with programs(SPIN, 4) as (busy, *_), programs(idle, 1) as (idle_one,):
        before, idle_before, begun_s = waits_s(busy.pid), waits_s(idle_one.pid), time.monotonic()
        limit_s = begun_s + 20.0
        while waited_s(busy.pid, before) < 1.0:
            assert time.monotonic() < limit_s
        elapsed_s = time.monotonic() - begun_s
        assert waited_s(busy.pid, before) > 0.4 * elapsed_s, "a quarter of a processor was all there was"
        assert waited_s(idle_one.pid, idle_before) < 0.05 * elapsed_s
        os.kill(busy.pid, signal.SIGSTOP)
        while Path(f"/proc/{busy.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            continue
        stopped = waits_s(busy.pid)
        time.sleep(0.3)
        assert waited_s(busy.pid, stopped) == 0.0, "who is stopped waits for nothing"


def test_a_process_that_is_gone_has_not_waited() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert waits_s(process.pid) == {}
    assert waited_s(process.pid) == 0.0


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starved, "waits_s", lambda _pid: {1: 500.0})
    assert waited_s(1, {1: 2.0}) == PATIENCE_S


def test_a_child_without_a_processor_is_waited_for_and_one_that_hangs_is_not(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel's count is made up: of what it says, a starved child cannot be told from this one."""
    begun_s, starving = time.monotonic(), True
    kept_s = 0.0

    def counted_s(_pid: int) -> dict[int, float]:
        nonlocal kept_s
        if starving:
            kept_s = time.monotonic() - begun_s
        return {1: kept_s}

    monkeypatch.setattr(child_module, "waits_s", counted_s)
    monkeypatch.setattr(child_module, "waited_s", lambda pid, before: counted_s(pid)[1] - before[1])
    watched.supervisor.set_children([child("cam", "beat", silence_limit_s=0.5)])
    watched.until(lambda: len(watched.seen) > 2)
    pid = watched.supervisor.pids()["cam"]
    os.kill(pid, signal.SIGSTOP)
    with watched.changed:
        assert not watched.changed.wait_for(lambda: bool(watched.exits), 2.0), "four times its limit"
    with caplog.at_level(logging.WARNING):
        os.kill(pid, signal.SIGCONT)
        beats = len(watched.seen)
        watched.until(lambda: len(watched.seen) > beats + 2)
    assert watched.supervisor.pids()["cam"] == pid
    assert any("the machine gave it no processor" in record.getMessage() for record in caplog.records)
    starving = False
    os.kill(pid, signal.SIGSTOP)
    watched.until(lambda: bool(watched.exits), 3.0)
    assert watched.exits == [("cam", "no sign of life for 0.5 s")]
