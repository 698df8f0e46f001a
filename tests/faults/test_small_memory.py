"""P4, P7: who goes first where memory is short, and pictures for which there is too little shared memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from bench.processes import descendants
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import running
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.local.simulated import SimulatedCameras

#: Width, height and MiB that may be mapped: 0 for as many as there are.
SIZES: Final = ((640, 360), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
LEFT_MIB: Final = (0, 1, 2, 4, 8, 16, 32)
WORKER: Final = "alerting.worker"
SMALL: Final = "mount -t tmpfs -o size=1m tmpfs /dev/shm &&"


def tried(folder: Path, kind: str, width: int, height: int, left_mib: int) -> tuple[int, str]:
    """One try with a /dev/shm of 1 MiB: how the process ended (negative: the signal), and what it said."""
    program = [sys.executable, "-m", "tests.faults.small_memory", kind, *map(str, (folder, width, height, left_mib))]
    paths = os.pathsep.join(("src", "components", "."))
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{SMALL} exec "$@"', "sh", *program],
        cwd=scorecard.REPOSITORY,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout.strip() or done.stderr.strip()[-300:]


def told(said: str, width: int, height: int) -> bool:
    """Whether the words for too little memory hold the size that was needed."""
    found = re.search(r"V205 no room for .*: ([0-9.]+) MiB of shared memory cannot be had", said)
    return found is not None and float(found[1]) >= width * height * 1.5 / 2**20


def test_p7_too_little_shared_memory(short_tmp: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small /dev/shm needs root")
    mount = subprocess.run(["unshare", "-m", "sh", "-c", f"{SMALL} true"], capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(f"a small /dev/shm cannot be mounted: {mount.stderr.strip()}")
    begun_s = time.monotonic()
    ways = [(w, h, left) for left in LEFT_MIB for w, h in SIZES]
    ways = ways[:: scorecard.size(quick=3, full=1)]
    outcomes = {way: tried(short_tmp, "ring", *way) for way in ways}
    served = sum(code == 0 and said == "done" for code, said in outcomes.values())
    refused = sum(code == 0 and told(said, *way[:2]) for way, (code, said) in outcomes.items())
    wrong = {
        way: (code, said)
        for way, (code, said) in outcomes.items()
        if code != 0 or not (said == "done" or told(said, *way[:2]))
    }
    unlimited = all(said == "done" for (_, _, left), (_, said) in outcomes.items() if not left)
    code, _ = tried(short_tmp, "named", 1920, 1080, 0)
    control = code == -signal.SIGBUS
    n = len(outcomes)
    row = Row(
        "P7",
        "rings of pictures that neither work nor are refused in words with their size, /dev/shm 1 MiB",
        len(wrong),
        "rings",
        n,
        "0, and no SIGBUS",
        passed=not wrong and unlimited and control and refused > 0,
        upper95=upper95(len(wrong), n),
        control=Control("a ring as a file in /dev/shm: killed by SIGBUS", float(control), control),
        notes=f"{served} served a picture, {refused} refused with V205 and their size. Where only /dev/shm is small, all sizes work: "
        f"rings have no name and do not lie there. 640x360 to 3840x2160, 1 to 32 MiB left to map, or any. {wrong or ''}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


def scores(pids: set[int]) -> dict[str, int]:
    """Program → how soon the kernel would end it, by its own account."""
    found = {}
    for pid in pids:
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        name = command[command.index("-m") + 1] if "-m" in command else command[0]
        found[f"{name} {pid}"] = int(Path(f"/proc/{pid}/oom_score").read_text())
    return found


@pytest.mark.processes
def test_p4_who_goes_first_where_memory_is_short(short_tmp: Path) -> None:
    begun_s, rounds = time.monotonic(), scorecard.size(quick=3, full=12)
    files = {name: clip(short_tmp / f"{name}.mp4", [(1.0, 9.0)], 10.0) for name in ("gate", "yard")}
    rules = {"enters": {"type": "zone_entered", "zone": ZONE}}
    manifest = application("visits", model(short_tmp), list(files), rules)
    before_worker: list[int] = []
    with (
        SimulatedCameras(files, log_file=short_tmp / "simulator.log") as simulated,
        running(manifest, simulated.urls, short_tmp / "run") as watched,
    ):
        watched.wait_streaming(set(files))
        mains = watched.mains()
        for _ in range(rounds):
            found = scores(descendants(mains) - mains)
            worker = next(score for name, score in found.items() if name.startswith(WORKER))
            # What cameras are copied from holds no work; it is started anew with the next copy.
            others = {
                name: score for name, score in found.items() if not name.startswith((WORKER, "camera_ingest.template"))
            }
            before_worker.append(sum(score <= worker for score in others.values()))
            victim = int(max(others, key=others.__getitem__).split()[1])
            os.kill(victim, signal.SIGKILL)
            watched.statuses.clear()
            watched.analysed.clear()
            watched.wait_streaming(set(files))
        pid = next(int(name.split()[1]) for name in scores(descendants(mains) - mains) if name.startswith(WORKER))
        Path(f"/proc/{pid}/oom_score_adj").write_text("900")
        raised = scores(descendants(mains) - mains)
        seen = sum(score <= max(raised.values()) for name, score in raised.items() if not name.startswith(WORKER))
    wrong = sum(before_worker)
    row = Row(
        "P4",
        "processes of a running edge side that the kernel would end after the writer of the outbox",
        wrong,
        "processes",
        rounds,
        "0; whoever goes first is back by itself",
        passed=not wrong and seen > 0,
        upper95=upper95(sum(each > 0 for each in before_worker), rounds),
        control=Control("the writer told to go first", seen, seen > 0),
        notes="By the kernel's own score of each process (oom_score), all of them started anew in between: each time the "
        "one with the highest is killed as the kernel would do it, and pictures of all cameras were analysed again. Not in it: a "
        "memory limit that is really reached, and a component that shrinks before.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (row, before_worker)
