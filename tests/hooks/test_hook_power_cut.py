"""Power cuts, for a hook: what its disk held at that moment is all there is.

A file system on a file: what the kernel has sent to the "disk" is in that file, what it holds back is not. The writer
is stopped, the file is copied as it stands, and the copy is what the device finds after the cut.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.hooks.rig import Bench, InlineProcess, batch
from tests.hooks.test_hook_loop import COUNT
from vedette.adapters.hooks.store import SqliteHookStore
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.contracts.hook_event import HookEvent
from vedette.core.hook_alerts import hook_alert_id

pytestmark = [pytest.mark.faults, pytest.mark.processes]

#: As many at least, and more until one has taken something with it.
CUTS, CUTS_AT_MOST = 12, 60


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    # Nothing is written for minutes but what somebody waits for: the worst case.
    options = "loop,commit=300,data=ordered"
    done = subprocess.run(["mount", "-o", options, str(image), str(folder)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_what_was_raised_is_there_and_nothing_is_raised_as_something_else(short_tmp: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file")
    chance = random.Random(11)
    image = short_tmp / "disk"
    image.write_bytes(b"")
    os.truncate(image, 96 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    history = History()
    lost_batches = 0
    for cut in range(CUTS_AT_MOST):
        if cut >= CUTS and lost_batches:
            break
        with mounted(image, short_tmp / "live") as folder:
            written = run_until_cut(folder, history, 0.4 + 2 * chance.random(), image, short_tmp / "copy")
        shutil.move(short_tmp / "copy", image)
        with mounted(image, short_tmp / "live") as folder:
            lost_batches += check(folder, history, written, cut)
    assert lost_batches > 0, "some batches of the last second were lost, or no power was cut"


class History:
    """What was said to be on the disk, over all cuts."""

    def __init__(self) -> None:
        self.appended: list[str] = []
        self.cursor = 0
        self.state: dict[str, Any] = {}
        self.number = 0

    def take(self, line: bytes) -> None:
        said = json.loads(line)
        self.appended += said.get("appended", [])
        if "cursor" in said:
            self.cursor, self.state = said["cursor"], said["state"]


def run_until_cut(folder: Path, history: History, after_s: float, image: Path, copy: Path) -> int:
    """Let it work, and copy the disk as it is; how many batches were handled by then at least."""
    command = [sys.executable, "-m", "tests.hooks.power_cut", str(folder), str(history.number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert process.stdout is not None
    with process.stdout:
        history.take(process.stdout.readline())  # it works
        time.sleep(after_s)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
        process.kill()
        for line in process.stdout:  # said before the copy was made
            if line.endswith(b"\n"):
                history.take(line)
    process.wait()
    return int(history.state.get("gate", 0))


def check(folder: Path, history: History, handled: int, cut: int) -> int:
    """What the device finds, and how it goes on; how many batches are missing."""
    with closing(SqliteHookStore(folder / "greeter.db")) as store:
        position = store.load()
    assert position.cursor >= history.cursor, f"cut {cut}: what was committed is there"
    bench = Bench(folder, lambda: InlineProcess(COUNT))
    bench.wall_s = time.time()
    bench.start()
    bench.settle(2000)
    state = bench.state()
    assert state["gate"] >= handled
    # Pictures after the cut: each is handled, though numbers of the journal were lost with the last second.
    history.number += 100_000
    new = [batch(history.number + n, people=1, begin_s=time.time() - history.number / 5) for n in range(7)]
    bench.write(new)
    bench.settle(2000)
    bench.loop.finish()
    events = bench.raised()
    assert bench.state()["gate"] == state["gate"] + len(new)
    raised = [event.message for event in events]
    assert set(history.appended) <= set(raised), f"cut {cut}: nothing that was kept is lost"
    for one in new:
        assert sum(f"gate {one.frame.frame_no} " in message for message in set(raised)) == 1
    assert_each_is_itself(events)
    history.appended = raised
    history.state, history.cursor = bench.state(), bench.store.load().cursor
    missing = int(history.state["gate"]) - rows_of(folder)
    history.number += 1000
    bench.crash()
    return max(0, missing)


def rows_of(folder: Path) -> int:
    """Batches in the journal."""
    with closing(SqliteJournalReader(folder / "journal.db")) as reader:
        assert reader.identity()
        count, after = 0, 0
        while rows := reader.read(after, 500):
            count += sum(not isinstance(row, HookEvent) for _, row in rows)
            after = rows[-1][0]
    return count


def assert_each_is_itself(events: list[HookEvent]) -> None:
    """The same id never stands for two things, else one of them would be dropped as a repeat."""
    said: dict[str, str] = {}
    for event in events:
        assert said.setdefault(hook_alert_id("thing", event), event.message) == event.message
