"""A damaged outbox is made anew: what happens where there is no room for that, or the process ends amid it."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.outbox.samples import new
from tests.outbox.test_outbox import Open, fill, ids, make_full, open_outbox, overwrite, path
from vedette.adapters.outbox import file as file_module
from vedette.adapters.outbox import rebuild, salvage
from vedette.adapters.outbox import sqlite as sqlite_module
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
