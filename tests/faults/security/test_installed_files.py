"""X10: single bits of installed files are flipped; what is not told at the next start would run."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

import verify
from tests.building.conftest import or_skip
from tests.building.installed import Installed
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.local.component_tree import BuildSettings, build_tree

#: The ones with the fewest and with many files.
COMPONENTS: Final = {"vedette.DeviceAgent": "device_agent", "vedette.CameraIngest": "camera_ingest"}
#: The recipe itself has their digests, so that a start that reads it is needed to judge them.
PINNED: Final = ("run.sh", "python.sh", "verify.py", verify.LIST_NAME)
WHEELS: Final = ("wheelhouse", "installer")


def installed(folder: Path) -> dict[str, Installed]:
    """The components of a build of these sources for this machine."""
    made = or_skip(lambda: build_tree(folder / "tree", BuildSettings.choose()))
    devices = {one.name: Installed.of(one, _made(folder / one.name)) for one in made if one.name in COMPONENTS}
    for device in devices.values():
        done = device.install()
        assert done.returncode == 0, done.stderr
    return devices


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def flipped(path: Path, chance: random.Random) -> Iterator[None]:
    """One random bit is another one, for a while."""
    at, bit = chance.randrange(path.stat().st_size), 1 << chance.randrange(8)
    _turn(path, at, bit)
    try:
        yield
    finally:
        _turn(path, at, bit)


def _turn(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ bit]))


def candidates(device: Installed) -> list[Path]:
    """Files that a start runs and that the lists name."""
    found = [path for top in (device.artefact, device.environment) for path in sorted(top.rglob("*"))]
    outside = [device.artefact / name for name in PINNED]
    return [
        path
        for path in found
        if path.is_file()
        and not path.is_symlink()
        and path.stat().st_size
        and path not in outside
        and path.relative_to(device.unpacked.parent).parts[2] not in WHEELS
        and verify.BYTE_CODE not in path.parts
    ]


def passed_unseen(device: Installed, paths: Sequence[Path], chance: random.Random) -> list[Path]:
    """Flip one bit in each of these files at once; those that the verifier does not name."""
    before = [(path, path.stat().st_size) for path in paths]
    flips = [(path, chance.randrange(size), 1 << chance.randrange(8)) for path, size in before]
    for flip in flips:
        _turn(*flip)
    told = verify.differences("start", [device.work, device.artefact])
    for flip in flips:
        _turn(*flip)
    named = {wrong.partition(": ")[0] for wrong in told}
    return [path for path in paths if str(path) not in named]


def starts(device: Installed, package: str, paths: Sequence[Path], chance: random.Random) -> tuple[list[str], int]:
    """Start a component with one flipped bit in one file, for each file.

    Returns:
        Files whose start was not refused with the code; how many of the same would have started without comparing.
    """
    accepted, unverified = [], 0
    for path in paths:
        with flipped(path, chance):
            said = device.script(device.run_script)
            if said.returncode != 1 or f"error {verify.CODE} " not in said.stderr:
                accepted.append(str(path))
            unverified += device.start("-c", f"import {package}.__main__", verified=False).returncode == 0
    return accepted, unverified


@pytest.mark.timeout(900)
def test_x10_installed_files(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    seed = scorecard.seed()
    chance = random.Random(seed)
    devices = installed(tmp_path)
    unseen: list[str] = []
    flips = 0
    added_s: list[str] = []
    for name, device in devices.items():
        clean = device.start("-c", f"import {COMPONENTS[name]}.__main__")
        assert clean.returncode == 0, clean.stderr  # what was not changed starts
        files = candidates(device)
        for _ in range(scorecard.size(quick=1, full=4)):
            chosen = chance.sample(files, min(len(files), 600))
            unseen += map(str, passed_unseen(device, chosen, chance))
            flips += len(chosen)
        added_s.append(f"{name} {_seconds(device):.2f} s of processor time for {len(files):,} files")
    small = devices["vedette.DeviceAgent"]
    alone = [small.artefact / name for name in PINNED] * scorecard.size(quick=1, full=3)
    alone += chance.sample(candidates(small), scorecard.size(quick=6, full=28))
    accepted, unverified = starts(small, "device_agent", alone, chance)
    passing = len(unseen) + len(accepted)
    row = Row(
        "X10",
        "flipped bits of installed files that pass",
        passing,
        "flips",
        flips + len(alone),
        "0 of >= 1,000",
        passed=passing == 0 and flips >= 1_000 and unverified > 0,
        upper95=upper95(passing, flips + len(alone)),
        control=Control("the same flips, started with the comparison left out: starts", unverified, unverified > 0),
        seed=seed,
        notes=f"{flips:,} flips of one random bit, 600 files at a time, as the verifier tells them; {len(alone)} more, one at a "
        f"time, by the recipe's own script, which has to end with {verify.CODE} and status 1 (the files that the recipe pins "
        f"among them). Wheels, which only an installation reads, are compared there. A comparison took {'; '.join(added_s)} "
        f"on {os.cpu_count()} cores, files in memory. Passed: {[*unseen, *accepted][:5] or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


def _seconds(device: Installed) -> float:
    """Of processor time, which does not depend on what else the machine does."""
    best = float("inf")
    for _ in range(3):
        begun_s = time.process_time()
        assert not verify.differences("start", [device.work, device.artefact])
        best = min(best, time.process_time() - begun_s)
    return best
