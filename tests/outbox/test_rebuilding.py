"""A damaged outbox is made anew: what happens where there is no room for that, or the process ends amid it."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.outbox.samples import new
from tests.outbox.test_outbox import Open, fill, ids, make_full, open_outbox, overwrite, path, roots
from vedette.adapters.outbox import entries, rebuild, salvage
from vedette.adapters.outbox import file as file_module
from vedette.adapters.outbox import sqlite as sqlite_module
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.errors import StorageError
from vedette.ports.outbox import CLOUD_CHANNEL

__all__ = ["open_outbox", "path"]

NUMBER = 200


class PowerCutError(BaseException):
    """Ends a process between two steps."""


def no_room(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def disk_full(*_: Any) -> None:
    raise sqlite3.OperationalError("database or disk is full")


FULL = pytest.mark.parametrize(
    ("module", "step", "refuse"), [(salvage, "_copy", no_room), (rebuild, "_fill", disk_full)]
)


def left_behind(path: Path) -> set[str]:
    """Files beside the outbox that are neither it nor what was put aside."""
    ours = {f"{path.name}{end}" for end in ("", "-wal", "-shm", ".lock")}
    ours |= {f"outbox-damaged.db{end}" for end in salvage.SUFFIXES}
    return {one.name for one in path.parent.iterdir()} - ours


@FULL
def test_without_room_a_damaged_file_stays_until_there_is(
    open_outbox: Open, path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, refuse: Callable[..., None]
) -> None:
    make_full(open_outbox, NUMBER)
    overwrite(path, 0)
    with monkeypatch.context() as patch:
        patch.setattr(module, step, refuse)
        for _ in range(2):
            with pytest.raises(StorageError, match="cannot be made anew") as caught:
                open_outbox()
            assert caught.value.code == "V403"
            assert left_behind(path) == set()
    outbox = open_outbox()
    assert ids(outbox, "hook") == list(range(11, NUMBER + 1))
    assert ids(outbox, CLOUD_CHANNEL) == list(range(1, NUMBER + 1))
    assert outbox.resume().cursor == 77


@FULL
def test_damage_found_without_room_is_repaired_once_there_is(
    open_outbox: Open, path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, refuse: Callable[..., None]
) -> None:
    monkeypatch.setattr(file_module, "REBUILD_RETRY_S", 0.0)
    monkeypatch.setattr(sqlite_module, "RETRY_S", 0.0)
    outbox = open_outbox()
    fill(outbox, 0, NUMBER, "hook")
    with monkeypatch.context() as patch:
        patch.setattr(module, step, refuse)
        with pytest.raises(sqlite3.OperationalError, match="cannot be made anew"):
            outbox._file.run(damage)
        overwrite(path, 0)
        outbox.delivered("hook", [1])
        assert outbox.flush() is False
        with pytest.raises(StorageError):
            ids(outbox, "hook")
    assert outbox.flush() is True
    assert ids(outbox, "hook") == list(range(2, NUMBER + 1))
    assert outbox.commit("j", 1, {}, [new(900, "hook")]) == 1
    outbox.close()
    assert ids(open_outbox(), "hook") == list(range(2, NUMBER + 2))


def damage(_: sqlite3.Connection) -> None:
    """What SQLite raises at a page that makes no sense; the cache may hide a real one."""
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


def test_without_room_a_removed_file_can_be_read_until_there_is(
    open_outbox: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "REBUILD_RETRY_S", 0.0)
    monkeypatch.setattr(sqlite_module, "RETRY_S", 0.0)
    outbox = open_outbox()
    fill(outbox, 0, NUMBER, "hook")
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "_fill", disk_full)
        for _ in range(2):
            outbox.flush()
            assert ids(outbox, "hook") == list(range(1, NUMBER + 1))
    outbox.commit("j", 1, {}, [new(900, "hook")])
    outbox.flush()
    outbox.close()
    assert ids(open_outbox(), "hook") == list(range(1, NUMBER + 2))


def test_a_power_cut_at_any_step_of_the_repair_loses_nothing(
    open_outbox: Open, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_full(open_outbox, NUMBER)
    overwrite(path, 0)
    (path.parent / ".salvage-of-a-killed-process").mkdir()
    before = tmp_path_factory.mktemp("before")
    shutil.copytree(path.parent, before, dirs_exist_ok=True)
    replace, cuts, finished = Path.replace, 0, False
    while not finished:
        shutil.rmtree(path.parent)
        shutil.copytree(before, path.parent)
        left = cuts

        def cut(source: Path, target: Path | str) -> Path:
            nonlocal left
            if not left and Path(source).exists():
                raise PowerCutError
            found = replace(source, target)
            left -= 1
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", cut)
            try:
                open_outbox().close()
                finished = True
            except PowerCutError:
                cuts += 1
        outbox = open_outbox()
        assert ids(outbox, "hook") == list(range(11, NUMBER + 1)), f"cut {cuts}"
        assert outbox.resume().cursor == 77
        assert (outbox.damage is None) == finished
        outbox.close()
        assert left_behind(path) == set()
    assert cuts == 2, "before the old file has its other name, and before the new one has this"


# -- signs of life ------------------------------------------------------------


class Life:
    """Counts calls, and rows that are read or written; the most rows between two calls."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls = self.rows = self.most = 0
        plausible, insert = salvage._plausible, rebuild._insert

        def read(row: tuple[Any, ...]) -> bool:
            self._took(1)
            return plausible(row)

        def write(connection: Any, rows: Sequence[Any], pending: Any, seq: int) -> tuple[int, list[int]]:
            self._took(len(rows))
            return insert(connection, rows, pending, seq)

        patch.setattr(salvage, "_plausible", read)
        patch.setattr(rebuild, "_insert", write)

    def alive(self) -> None:
        self.calls += 1
        self.rows = 0

    def _took(self, rows: int) -> None:
        self.rows += rows
        self.most = max(self.most, self.rows)


@pytest.mark.parametrize("lost", ["the header", "the tree of the alerts", "the queues"])
def test_a_large_outbox_shows_life_while_it_is_made_anew(
    open_outbox: Open, path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    number = 4_000
    make_full(open_outbox, number)
    page = {"the header": 0, "the tree of the alerts": roots(path)["alerts"], "the queues": roots(path)["pending"]}
    overwrite(path, page[lost])
    size = path.stat().st_size
    monkeypatch.setattr(salvage, "COPY_BYTES", 1 << 16)
    life = Life(monkeypatch)
    outbox = SqliteOutbox(path, alive=life.alive)
    assert outbox.damage is not None
    assert life.calls > size // (1 << 16) + 2 * (number // salvage.STEP)
    assert 0 < life.most <= 3 * salvage.STEP
    assert ids(outbox, CLOUD_CHANNEL) == list(range(1, number + 1))
    assert [row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, number)] == list(range(1, number + 1))
    outbox.close()


def test_a_removed_outbox_shows_life_while_it_is_written_out_again(
    open_outbox: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(monkeypatch)
    outbox = SqliteOutbox(path, alive=life.alive)
    fill(outbox, 0, 3_000, "hook")
    assert life.calls == 0, "only while there is something to do"
    path.unlink()
    outbox.flush()
    assert life.calls > 2 * (3_000 // salvage.STEP)
    assert 0 < life.most <= 3 * salvage.STEP
    assert ids(outbox, "hook") == list(range(1, 3_001))
    outbox.close()


def test_a_kill_while_a_removed_outbox_is_written_out_keeps_what_was_written(
    path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The old file is gone with the process, so that the unfinished new one is all there is."""
    killed: list[Path] = []

    def alive() -> None:
        if path.with_name("outbox-new.db").exists():
            killed.append(tmp_path_factory.mktemp("killed") / "state")
            shutil.copytree(path.parent, killed[-1], ignore=lambda *_: ["outbox.db.lock"])

    outbox = SqliteOutbox(path, alive=alive)
    fill(outbox, 0, 1_500, "hook", CLOUD_CHANNEL)
    path.unlink()
    outbox.flush()
    epoch = outbox.epoch
    outbox.close()
    found = []
    for folder in killed:
        again = SqliteOutbox(folder / path.name)
        found.append(len(ids(again, "hook")))
        again.commit("j", 1, {}, [new(9_000, "hook", CLOUD_CHANNEL)])
        seqs = [row.seq for row in again.rows(CLOUD_CHANNEL, 0, None, 5_000)]
        assert seqs == list(range(1, found[-1] + 2)), "no number twice"
        assert again.epoch == epoch
        assert again.damage is not None
        again.close()
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] == 1_500


# -- memory ------------------------------------------------------------


def peak_bytes(path: Path, number: int, damage: Callable[[], None]) -> int:
    """Most memory of Python's while an outbox of so many alerts is made anew."""
    outbox = SqliteOutbox(path)
    fill(outbox, 0, number, "hook", CLOUD_CHANNEL)
    outbox.close()
    damage()
    tracemalloc.start()
    try:
        outbox = SqliteOutbox(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outbox.damage is not None
    assert len(ids(outbox, "hook")) == number
    outbox.close()
    for file in path.parent.glob("outbox*"):
        file.unlink()
    return peak


def test_a_large_outbox_takes_no_more_memory_than_a_small_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage, "COPY_BYTES", 1 << 16)
    monkeypatch.setattr(entries, "SEEN_KEPT", 500)
    small, large = (peak_bytes(path, number, lambda: overwrite(path, 0)) for number in (2_000, 8_000))
    assert large < 1.2 * small
    assert large < 3 << 20


def test_alerts_read_off_their_pages_have_numbers_that_rise_with_their_ids(open_outbox: Open, path: Path) -> None:
    make_full(open_outbox, 3_000)
    overwrite(path, path.stat().st_size // 4096 // 2, 3)
    overwrite(path, roots(path)["alerts"])
    found = open_outbox().rows(CLOUD_CHANNEL, 0, None, 5_000)
    assert [row.seq for row in found] == list(range(1, len(found) + 1))
    assert len(found) > 2_900
