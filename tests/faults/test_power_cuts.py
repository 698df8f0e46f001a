"""R4: what was committed outlives kill -9 and power cuts."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import scorecard
from tests.faults.alert_writer import HOOK
from tests.faults.disk import disk
from tests.faults.scorecard import Anchor, Control, Row, upper95
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.ports.outbox import CLOUD_CHANNEL


@dataclass
class Count:
    """What was found over all cuts."""

    cuts: int = 0
    acked: int = 0
    lost: int = 0
    cuts_with_loss: int = 0
    broken: int = 0
    ready_s: list[float] = field(default_factory=list)
    given: dict[int, int] = field(default_factory=dict)
    given_twice: int = 0


class Writer:
    """The program that commits; one life after the other.

    Args:
        program: module whose ``main`` is ``alert_writer.main`` with work of its own.
    """

    def __init__(self, program: str = "tests.faults.alert_writer") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=scorecard.REPOSITORY,
        )
        self._rest = b""
        self.pid = 0
        self._ended = False

    def begin(self, **asked: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        self._ended = False
        first = self._line()
        assert first[0] == "pid", first
        self.pid = int(first[1])

    def said(self) -> list[list[str]]:
        """What has been said by now."""
        assert self._process.stdout is not None
        while select.select([self._process.stdout], [], [], 0)[0]:
            self._rest += os.read(self._process.stdout.fileno(), 1 << 16)
        *lines, self._rest = self._rest.split(b"\n")
        self._ended |= b"ended" in lines
        return [line.decode().split() for line in lines if line != b"ended"]

    def kill(self) -> list[list[str]]:
        """End this life; what it said last."""
        with suppress(ProcessLookupError):  # a disk that is gone may have ended it
            os.kill(self.pid, signal.SIGKILL)
        found: list[list[str]] = []
        while not self._ended and (line := self._line())[0] != "ended":
            found.append(line)
        return found

    def _line(self) -> list[str]:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            some = os.read(self._process.stdout.fileno(), 1 << 16)
            assert some, "the writer ended by itself"
            self._rest += some
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode().split()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


def acked_of(said: list[list[str]], count: Count) -> set[int]:
    """Numbers that were called safe; numbers of the cloud's sequence are looked at meanwhile."""
    for line in said:
        if line[0] == "seq" and count.given.setdefault(int(line[1]), int(line[2])) != int(line[2]):
            count.given_twice += 1
    return {int(line[1]) for line in said if line[0] == "acked"}


def look(folder: Path, acked: set[int], count: Count) -> None:
    """What the device finds afterwards; everything is taken, so that files stay small."""
    begun_s = time.monotonic()
    with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
        rows = outbox.rows(HOOK, 0, None, 100_000)
        count.ready_s.append(time.monotonic() - begun_s)
        found = {round(json.loads(row.body)["media_time_s"]) for row in rows}
        lost = len(acked - found)
        cursor = outbox.resume().cursor
        broken = outbox.damage is not None or cursor < max(found, default=0)
        cloud = outbox.rows(CLOUD_CHANNEL, 0, None, 100_000)
        for row in cloud:
            number = round(json.loads(row.body)["media_time_s"])
            count.given_twice += count.given.setdefault(row.seq, number) != number
        with closing(sqlite3.connect(folder / "outbox.db")) as connection:
            broken |= connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
        outbox.delivered(HOOK, [row.row_id for row in rows])
        if cloud:
            outbox.acknowledge(outbox.epoch, cloud[-1].seq)
        assert outbox.channels() == []
    count.cuts += 1
    count.acked += len(acked)
    count.lost += lost
    count.cuts_with_loss += lost > 0
    count.broken += broken


def power_cuts(folder: Path, cuts: int, chance: random.Random, mutant: str = "") -> Count:
    """Cut the power of a working outbox again and again; one file through all of it."""
    count, first = Count(), 0
    with disk(folder) as drive, closing(Writer()) as writer:
        for _ in range(cuts):
            where = drive.mount()
            writer.begin(folder=str(where), first=first, pause_s=chance.choice((0.0, 0.0, 0.02)), mutant=mutant)
            said: list[list[str]] = []
            until_s = time.monotonic() + 0.04 + 0.2 * chance.random()
            while time.monotonic() < until_s or not said:
                time.sleep(0.002)
                said += writer.said()
            drive.cut()  # whatever is said from here on counts for nothing
            writer.kill()
            acked = acked_of(said, count)
            first = max(acked, default=first) + 1_000
            drive.unmount()
            look(drive.mount(), acked, count)
            drive.unmount()
    return count


def kills(folder: Path, number: int, chance: random.Random, mutant: str = "") -> Count:
    """Kill a working outbox again and again."""
    count, first = Count(), 0
    with closing(Writer()) as writer:
        for _ in range(number):
            writer.begin(folder=str(folder), first=first, pause_s=0.0, mutant=mutant)
            said = writer.said()
            until_s = time.monotonic() + 0.02 + 0.08 * chance.random()
            while time.monotonic() < until_s or not said:
                time.sleep(0.002)
                said += writer.said()
            acked = acked_of(said + writer.kill(), count)  # a pipe outlives its writer
            first = max(acked, default=first) + 1_000
            look(folder, acked, count)
    return count


def notes(count: Count) -> str:
    ready = sorted(count.ready_s)
    return (
        f"{count.acked} alerts acknowledged, {count.cuts_with_loss} with a loss, {count.broken} files damaged, "
        f"{count.given_twice} numbers of the cloud given twice; usable again in {ready[len(ready) // 2] * 1000:.0f} ms "
        f"(median), {ready[-1] * 1000:.0f} ms (longest)."
    )


def test_r4_power_cuts(short_tmp: Path) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    (short_tmp / "control").mkdir()
    control = power_cuts(short_tmp / "control", scorecard.size(quick=4, full=12), random.Random(seed), "normal")
    (short_tmp / "anchor").mkdir()
    anchor = power_cuts(short_tmp / "anchor", scorecard.size(quick=4, full=24), random.Random(seed), "delete")
    (short_tmp / "ours").mkdir()
    count = power_cuts(short_tmp / "ours", scorecard.size(quick=20, full=300), random.Random(seed))
    row = Row(
        "R4",
        "acknowledged alerts lost by power cuts",
        count.lost,
        "alerts",
        count.cuts,
        "0",
        passed=not (count.lost or count.broken or count.given_twice) and control.lost > 0,
        upper95=upper95(count.cuts_with_loss, count.cuts),
        control=Control(f"synchronous=NORMAL, {control.cuts} cuts", control.lost, control.lost > 0),
        anchors=(
            Anchor(
                "AWS disk spooler's SQLite mode (DELETE/FULL)",
                f"{anchor.lost} lost in {anchor.cuts_with_loss} of {anchor.cuts} cuts",
                "measured",
            ),
            Anchor(
                "Frigate's SQLite mode (WAL/NORMAL)",
                f"{control.lost} lost in {control.cuts_with_loss} of {control.cuts} cuts",
                "measured",
            ),
        ),
        seed=seed,
        notes=f"ext4 on a loop device, commit=300. {notes(count)}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


def test_r4_kills(tmp_path: Path) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    (tmp_path / "control").mkdir()
    control = kills(tmp_path / "control", scorecard.size(quick=10, full=40), random.Random(seed), "early")
    (tmp_path / "ours").mkdir()
    count = kills(tmp_path / "ours", scorecard.size(quick=20, full=200), random.Random(seed))
    row = Row(
        "R4-kills",
        "acknowledged alerts lost by kill -9",
        count.lost,
        "alerts",
        count.cuts,
        "0",
        passed=not (count.lost or count.broken or count.given_twice) and control.lost > 0,
        upper95=upper95(count.cuts_with_loss, count.cuts),
        control=Control(f"acknowledged before the commit, {control.cuts} kills", control.lost, control.lost > 0),
        seed=seed,
        notes=notes(count),
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
