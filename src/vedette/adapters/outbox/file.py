"""The file of the outbox as one thing that stays usable: opened, claimed, watched, rebuilt where it is damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vedette.adapters.outbox import rebuild, schema
from vedette.adapters.outbox.writer import GroupWriter
from vedette.contracts.errors import StorageError

T = TypeVar("T")


class OutboxFile:
    """Runs work on the database. Safe to call from several threads.

    Args:
        path: made where it does not exist.

    Attributes:
        fresh: the file did not exist before.
        damage: what was found damaged last, to report; None where nothing was.
        generation: how often the file was rebuilt while open; row numbers stay, the epoch does not.

    Raises:
        StorageError: V401, the directory cannot be used, or another process has the outbox.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._swap = threading.RLock()
        self.fresh = not path.exists()
        self.damage: StorageError | None = None
        self.generation = 0
        self._claim = _claim(path)
        try:
            self._begin(self._open())
        except BaseException:
            os.close(self._claim)
            raise

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` in a transaction, on disk when this returns; again where the file had to be rebuilt.

        Raises:
            sqlite3.Error: the disk refused; nothing was written.
        """
        while True:
            with self._swap:
                writer, generation = self._writer, self.generation
            try:
                return writer.run(work)
            except sqlite3.Error as error:
                with self._swap:
                    if generation == self.generation:
                        if not rebuild.is_damage(error):
                            raise
                        self._rebuild(str(error))

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Read; again where the file had to be rebuilt.

        Raises:
            StorageError: V401, the disk failed.
        """
        with self._swap:
            while True:
                try:
                    return question(self._reader)
                except sqlite3.Error as error:
                    if not rebuild.is_damage(error):
                        raise StorageError(f"outbox {self._path} cannot be read ({error}).", code="V401") from error
                    self._rebuild(str(error))

    def look(self) -> None:
        """Somebody may have removed the file: what is open still reads, so it is written out again."""
        with self._swap:
            if self._claim < 0:
                return
            try:
                same = self._path.stat().st_ino == self._inode
            except OSError:
                same = False
            if not same:
                self._rebuild("the file was removed", removed=True)

    def close(self) -> None:
        """Finish and release; idempotent."""
        with self._swap:
            if self._claim < 0:
                return
            self._writer.close()
            self._reader.close()
            os.close(self._claim)
            self._claim = -1

    def _open(self) -> sqlite3.Connection:
        try:
            return schema.open_database(self._path)
        except sqlite3.Error as error:
            if not rebuild.is_damage(error):
                raise StorageError(
                    f"outbox {self._path} cannot be opened ({error}).",
                    hint="The state directory must exist, be writable and have room.",
                    code="V401",
                ) from error
            self.damage = rebuild.from_damaged(self._path, str(error))
            return schema.open_database(self._path)
        except OSError as error:
            raise _unusable(self._path, error) from error

    def _begin(self, writing: sqlite3.Connection) -> None:
        self._reader = schema.connect(self._path)
        self._reader.execute("PRAGMA query_only=1")
        self._writer = GroupWriter(writing)
        self._inode = self._path.stat().st_ino

    def _rebuild(self, why: str, *, removed: bool = False) -> None:
        content = rebuild.everything(self._reader) if removed else None
        self._writer.close()
        self._reader.close()
        self.damage = rebuild.from_damaged(self._path, why, content)
        self.generation += 1
        self._begin(schema.open_database(self._path))


def _claim(path: Path) -> int:
    """The lock that makes this process the only one; released by its death."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o660)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StorageError(
            f"outbox {path} is in use by another process.",
            hint="Only one Alerting component may use a state directory.",
            code="V401",
        ) from error
    return descriptor


def _unusable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"outbox {path}: {error.strerror or error}.",
        hint="The state directory must exist and be writable for the components' group.",
        code="V401",
    )
