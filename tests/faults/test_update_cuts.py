"""U3: killed, or without power, at any moment of an update of what everything runs on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from bench.processes import descendants
from tests.edge.running import wait_until
from tests.faults import scorecard
from tests.faults.disk import Disk, disk
from tests.faults.scorecard import Control, Row, upper95
from tests.local.job_device import JobDevice, runtime
from vedette.adapters.device_helper import DeviceHelper
from vedette.contracts.device_job import DEVICE_JOB, JobProgress, Stage
from vedette.core.fleet.device_job import Ask

pytestmark = [pytest.mark.processes]

#: What is struck, and what is asked for before that.
STEPS: Final = {Ask.APPLY: (), Ask.RESTORE: (Ask.APPLY,), Ask.CONFIRM: (Ask.APPLY,)}
TICKS: Final = 40
#: The control: a link that is taken away before the next one is made.
POINT: Final = 'ln -sfn "$1" "$2.new"\n    mv -T "$2.new" "$2"'
MUTANT: Final = 'rm -f "$2"\n    sleep 0.3\n    ln -s "$1" "$2"'


@dataclass
class Count:
    """What was found after each end."""

    ends: int = 0
    neither: int = 0
    unconfirmed: int = 0
    afterwards: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> int:
        """Ends after which nothing runs, or something that nobody confirmed stays."""
        return self.neither + self.unconfirmed


class Updated:
    """A device with an update under way."""

    def __init__(self, folder: Path, mutant: str) -> None:
        folder.mkdir()
        self.device = JobDevice(folder)
        first = self.device.root / "opt/vedette/python/old/bin/python3"
        first.parent.mkdir()
        first.write_text("#!/bin/sh\nexit 0\n")
        first.chmod(0o755)
        self.package = runtime("new", "exit 0\n" + "#" * 200_000)
        document = DEVICE_JOB.validate_python(self.device.update(self.package))
        self.progress = JobProgress(job_id="j1", job=document, stage=Stage.APPLYING, boot_id="b", since_s=0)
        self.helper = DeviceHelper(self.device.state, self.device.root / "var/lib/vedette-helper")
        if mutant:
            program = self.device.machine.bundle / "device-helper.sh"
            before = program.read_text()
            assert before.count(POINT) == 1
            program.write_text(before.replace(POINT, mutant))

    def ask(self, what: Ask) -> None:
        """Leave a request, with its package."""
        if what is Ask.APPLY:
            self.helper.package.write_bytes(self.package)
        self.helper.ask(self.progress, what)

    def begin(self) -> subprocess.Popen[bytes]:
        """The helper, with whatever it starts in a group of its own."""
        machine = self.device.machine
        environment = {
            "PATH": f"{machine.tools}:{os.environ['PATH']}",
            "FAKE_ROOT": str(machine.root),
            "VEDETTE_ROOT": str(machine.root),
        }
        return subprocess.Popen(
            ["sh", machine.bundle / "device-helper.sh"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def runs(self) -> str:
        """What is in force, where it runs; else empty."""
        try:
            mark = self.device.runs
            program = self.device.root / "opt/vedette/python/current/bin/python3"
            works = program.stat().st_size > 0 and subprocess.run([program], timeout=20).returncode == 0
        except OSError:
            return ""
        return mark if works else ""

    def left_alone(self) -> str:
        """What is in force once the helper has had its time, as often as a nobody confirms."""
        pending = self.device.root / "var/lib/vedette-helper/pending"
        for _ in range(TICKS):
            if not pending.exists():
                break
            self.device.tick()
        return self.runs() if not pending.exists() else ""


@contextlib.contextmanager
def busy_disk(drive: Disk | None) -> Iterator[None]:
    """Others save meanwhile: with each of their saves the names of our files reach the disk, what is in them may not."""
    ended = threading.Event()

    def save() -> None:
        with (drive.mount_point / "others").open("wb") as file:  # type: ignore[union-attr]
            while not ended.wait(0.002):
                file.write(b"x")
                file.flush()
                os.fsync(file.fileno())

    others = threading.Thread(target=save)
    if drive is not None:
        others.start()
    try:
        yield
    finally:
        ended.set()
        if drive is not None:
            others.join()


def kill(process: subprocess.Popen[bytes]) -> None:
    """The helper and whatever it has started, all at one moment."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGSTOP)  # so that it starts nothing meanwhile
        for pid in descendants([process.pid]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: not Path(f"/proc/{pid}/exe").exists(), 10, "it is gone")  # type: ignore[misc]
    process.wait()


def one(updated: Updated, what: Ask, after_s: float, drive: Disk | None, count: Count) -> None:
    """Strike once, and look."""
    for before in STEPS[what]:
        updated.ask(before)
        assert updated.begin().wait(60) == 0
    updated.ask(what)
    if drive is not None:
        os.sync()
    process = updated.begin()
    with busy_disk(drive), contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    if drive is not None:
        drive.cut()
    kill(process)
    if drive is not None:
        drive.unmount()
        drive.mount()
    at_once = updated.runs()
    finally_ = updated.left_alone()
    count.ends += 1
    count.neither += not at_once or not finally_
    # What was asked for decides: only a confirmation keeps the new one.
    count.unconfirmed += finally_ == "new" and what is not Ask.CONFIRM
    count.afterwards[f"{what.value}: {at_once or 'nothing'}, then {finally_ or 'nothing'}"] += 1


def lengths_s(folder: Path) -> dict[Ask, float]:
    """How long the helper takes with each step."""
    found = {}
    for what, before in STEPS.items():
        updated = Updated(folder / what.value, "")
        for each in (*before, what):
            updated.ask(each)
            begun_s = time.monotonic()
            assert updated.begin().wait(60) == 0
            found[what] = 1.2 * (time.monotonic() - begun_s)
        assert updated.runs() == ("first" if what is Ask.RESTORE else "new")
    return found


def ends(
    folder: Path, number: int, chance: random.Random, most_s: dict[Ask, float], *, cut: bool, mutant: str = ""
) -> Count:
    """So many, each on a device of its own."""
    folder.mkdir()
    count = Count()
    with contextlib.ExitStack() as stack:
        drive = stack.enter_context(disk(folder)) if cut else None
        place = drive.mount() if drive is not None else folder
        for each in range(number):
            what = Ask.APPLY if mutant else list(STEPS)[each % len(STEPS)]
            most = most_s[what] + (0.6 if mutant else 0.0)
            one(Updated(place / f"d{each}", mutant), what, most * chance.random(), drive, count)
        if drive is not None:
            drive.unmount()
    return count


@pytest.mark.timeout(600)
def test_u3_cut_off_amid_an_update(short_tmp: Path) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    chance = random.Random(seed)
    (short_tmp / "first").mkdir()
    most_s = lengths_s(short_tmp / "first")
    control = ends(short_tmp / "control", scorecard.size(quick=10, full=40), chance, most_s, cut=False, mutant=MUTANT)
    killed = ends(short_tmp / "kills", scorecard.size(quick=15, full=90), chance, most_s, cut=False)
    cut = ends(short_tmp / "cuts", scorecard.size(quick=9, full=60), chance, most_s, cut=True)
    wrong, n = killed.wrong + cut.wrong, killed.ends + cut.ends
    row = Row(
        "U3",
        "ends amid an update after which neither the old nor the new one runs, or one stays that nobody confirmed",
        wrong,
        "ends",
        n,
        "0",
        passed=not wrong and control.neither > 0,
        upper95=upper95(wrong, n),
        control=Control(f"a link replaced in two steps, {control.ends} kills", control.neither, control.neither > 0),
        seed=seed,
        notes=f"Runtime of all components, put in, put back and confirmed by the real helper on a made-up machine: {killed.ends} kill -9 "
        f"({killed.wrong} wrong), {cut.ends} power cuts (ext4 on a loop device; {cut.wrong} wrong), at random within {', '.join(f'{s:.2f} s of {what.value}' for what, s in most_s.items())}. "
        f"{dict(killed.afterwards + cut.afterwards)}. Plans: D6; versions of models and applications: R17-versions.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (row, killed, cut)
