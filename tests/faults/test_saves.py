"""D6: killed, or without power, amid the saving of what everything runs by."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.alerting.scene import plan
from tests.faults import scorecard
from tests.faults.disk import disk
from tests.faults.scorecard import Control, Row, upper95
from tests.faults.test_power_cuts import Writer
from vedette.adapters.state.files import write_durably
from vedette.adapters.state.plan_file import PlanFile
from vedette.contracts.errors import StorageError

PROGRAM = "tests.faults.plan_writer"


@dataclass
class Count:
    """What was found after each end."""

    ends: int = 0
    saved: int = 0
    unreadable: int = 0
    older: int = 0

    @property
    def wrong(self) -> int:
        """Ends after which the plan was not the last safe one, or a later one."""
        return self.unreadable + self.older


def some(writer: Writer, folder: Path, count: Count, chance: random.Random, mutant: str) -> int:
    """Let it save for a moment; the number of the last plan that was safe."""
    writer.begin(folder=str(folder), first=1_000 * (count.ends + 1), mutant=mutant)
    until_s, said = time.monotonic() + 0.02 * chance.random(), list[list[str]]()
    while time.monotonic() < until_s or not said:
        time.sleep(0.0005)
        said += writer.said()
    return int(said[-1][1])


def look(folder: Path, safe: int, count: Count) -> None:
    """What the next process would run by."""
    count.ends += 1
    try:
        found = PlanFile(folder / "plan.json").read()
    except StorageError:
        found = None
    count.unreadable += found is None
    count.older += found is not None and found.revision < safe


def kills(folder: Path, ends: int, chance: random.Random, mutant: str = "") -> Count:
    """kill -9 amid saves."""
    folder.mkdir()
    count = Count()
    with closing(Writer(PROGRAM)) as writer:
        for _ in range(ends):
            safe = some(writer, folder, count, chance, mutant)
            rest = writer.kill()  # a pipe outlives its writer
            look(folder, int(rest[-1][1]) if rest else safe, count)
    return count


def power_cuts(folder: Path, ends: int, chance: random.Random) -> Count:
    """No power amid saves."""
    folder.mkdir()
    count = Count()
    with disk(folder) as drive, closing(Writer(PROGRAM)) as writer:
        for _ in range(ends):
            safe = some(writer, drive.mount(), count, chance, "")
            drive.cut()  # whatever is said from here on counts for nothing
            writer.kill()
            drive.unmount()
            look(drive.mount(), safe, count)
            drive.unmount()
    return count


def left_behind(folder: Path) -> tuple[int, int]:
    """Unfinished files of the killed: how many there were, and how many after the next save a while later."""
    unfinished = list(folder.glob(".plan.json.*.tmp"))
    for path in unfinished:
        os.utime(path, (0, 0))
    write_durably(folder / "plan.json", plan(["cam"], revision=1).model_dump_json().encode())
    return len(unfinished), len(list(folder.glob(".plan.json.*")))


def test_d6_killed_amid_a_save(short_tmp: Path) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    control = kills(short_tmp / "control", scorecard.size(quick=40, full=200), random.Random(seed), "in place")
    killed = kills(short_tmp / "kills", scorecard.size(quick=100, full=1_000), random.Random(seed))
    unfinished, left = left_behind(short_tmp / "kills")
    cut = power_cuts(short_tmp / "cuts", scorecard.size(quick=10, full=100), random.Random(seed))
    wrong, n = killed.wrong + cut.wrong, killed.ends + cut.ends
    row = Row(
        "D6",
        "kills and power cuts amid a save after which the plan is neither the last safe one nor a later one",
        wrong,
        "ends",
        n,
        "0",
        passed=not wrong and not left and control.wrong > 0,
        upper95=upper95(wrong, n),
        control=Control(f"saved in place, {control.ends} kills", control.wrong, control.wrong > 0),
        seed=seed,
        notes=f"{killed.ends} kill -9, {cut.ends} power cuts (ext4 on a loop device). The killed left {unfinished} unfinished "
        f"files, of which {left} are there after the next save a minute later. Plan, attachments, cameras, secrets and progress "
        "of jobs are saved by the same function.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
