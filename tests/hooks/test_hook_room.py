"""The disk of a hook: what its directory shows, and what no directory does."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.confined import Confined
from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.hooks.room import MEASURE_S, Finding, Room, free_bytes

MB = 1 << 20


class Disk:
    """A disk of which others use something."""

    def __init__(self, folder: Path, free_mb: int, limit_mb: int = 8) -> None:
        self.free_mb = float(free_mb)
        self.now_s = 0.0
        self.directory = DataDirectory(folder / "data", None, limit_mb * MB)
        self.room = self.process()

    def process(self) -> Room:
        return Room(self.directory, lambda _: int(self.free_mb * MB), lambda: self.now_s)

    def look(self) -> Finding:
        self.now_s += 2 * MEASURE_S
        return self.room.look()


def test_what_others_use_is_no_cause_for_suspicion_until_it_is_much(tmp_path: Path) -> None:
    disk = Disk(tmp_path, free_mb=1000)
    disk.free_mb = 760
    assert disk.look() is Finding.NOTHING
    disk.free_mb = 740
    assert disk.look() is Finding.SUSPECT
    disk.room = disk.process()
    assert disk.look() is Finding.NOTHING, "the next process begins with what is there"
    disk.free_mb = 900
    assert disk.look() is Finding.NOTHING, "somebody made room"


def test_what_the_directory_shows_is_not_counted_twice(tmp_path: Path) -> None:
    disk = Disk(tmp_path, free_mb=20)
    (disk.directory.path / "kept").write_bytes(bytes(6 * MB))
    disk.free_mb = 8
    assert disk.look() is Finding.NOTHING, "6 of 12 MB are its own, and seen"
    disk.free_mb = 5
    assert disk.look() is Finding.SUSPECT


def test_on_a_small_disk_the_limit_counts(tmp_path: Path) -> None:
    disk = Disk(tmp_path, free_mb=10)
    disk.free_mb = 3
    assert disk.look() is Finding.NOTHING
    disk.free_mb = 0
    assert disk.look() is Finding.SUSPECT
    disk.room = disk.process()
    assert disk.look() is Finding.NOTHING, "on a full disk nothing can be lost any more"


def test_measuring_takes_little_time(tmp_path: Path) -> None:
    disk = Disk(tmp_path, free_mb=1000)
    (disk.directory.path / "large").write_bytes(bytes(9 * MB))
    took_s = 0.5

    def slow() -> float:
        disk.now_s += took_s
        return disk.now_s

    disk.room = Room(DataDirectory(tmp_path / "other", None, MB), lambda _: 100 * MB, slow)
    assert disk.room.look() is Finding.NOTHING
    (tmp_path / "other" / "large").write_bytes(bytes(2 * MB))
    looks = 0
    took_s = 0.25
    while disk.room.look() is not Finding.FULL:
        looks += 1
    assert looks * took_s >= 20 * 0.5 - 1, "twenty times what it took passes until the next look"


def test_a_path_that_is_gone_makes_nobody_suspect(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    assert free_bytes(tmp_path / "gone") > 1 << 60


@pytest.fixture
def small_disk(short_tmp: Path) -> Iterator[Path]:
    """A file system of 200 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount one")
    folder = short_tmp / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "disk", str(folder)], check=False)
    if done.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


HIDING = """
import mmap, os, time
held = []
def on_tracks(app, batch):
    for number in range(40):
        descriptor = os.open("big", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.unlink("big")
        for _ in range(4):
            os.write(descriptor, bytes(1 << 20))
        {keep}
        time.sleep(0.05)
    app.alert("filled it")
"""
KEEPING = {
    "open": "held.append(descriptor)",
    "mapped": "held.append(mmap.mmap(descriptor, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)); os.close(descriptor)",
}


@pytest.mark.processes
@pytest.mark.parametrize("keep", KEEPING)
def test_removed_files_that_are_kept_open_cannot_fill_the_disk(small_disk: Path, keep: str) -> None:
    one = Confined(small_disk, HIDING.format(keep=KEEPING[keep]), timeout_s=30.0, disk_mb=8)
    try:
        one.start()
        before = free_bytes(small_disk)
        error = one.fails()
        assert error.code == "V809"
        assert "MB of the disk in files that it had removed" in error.message
        assert free_bytes(small_disk) > before - 2 * MB, "all of it is back"
    finally:
        one.close()


@pytest.mark.processes
def test_an_innocent_process_on_a_disk_that_fills_is_told_of_as_such(small_disk: Path) -> None:
    one = Confined(
        small_disk, "import time\ndef on_tracks(app, batch):\n    time.sleep(5)\n", timeout_s=30.0, disk_mb=8
    )
    try:
        one.start()
        (small_disk / "other").write_bytes(bytes(90 * MB))
        begun_s = time.monotonic()
        error = one.fails()
        assert error.code == "V808"
        assert "it did not" in error.message
        assert time.monotonic() - begun_s < 4
        one.start()
        one.tracks()
    finally:
        one.close()
