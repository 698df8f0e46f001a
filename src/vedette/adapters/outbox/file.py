"""The file of the outbox as one thing that stays usable: opened, claimed, watched, rebuilt where it is damaged."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from vedette.adapters.outbox import rebuild, schema
from vedette.adapters.outbox.writer import GroupWriter
from vedette.contracts.errors import StorageError

T = TypeVar("T")
log = logging.getLogger(__name__)

#: A file that could not be rebuilt is tried again no sooner than this.
REBUILD_RETRY_S: Final = 5.0


class OutboxFile:
    """Runs work on the database. Safe to call from several threads.

    Args:
        path: made where it does not exist.
        alive: called again and again while a damaged file is made anew, which takes minutes where it is large: by the
            thread that has met the damage, while the others wait.

    Attributes:
        damage: what was found damaged last, to report; None where nothing was.
        generation: how often it was opened again, mostly as a new file: row numbers stay, the epoch does not then.

    Raises:
        StorageError: V401, the directory cannot be used, or another process has the outbox; V403, the file is damaged,
            and there is no room for a new one.
    """

    def __init__(self, path: Path, alive: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._alive = alive
        self._swap = threading.RLock()
        self._again_s = 0.0
        self._shut = False
        self.generation = 0
        self._claim = _claim(path)
        try:
            self.damage = rebuild.finish(path)
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
                        try:
                            self._rebuild(str(error))
                        except StorageError as failure:
                            raise sqlite3.OperationalError(failure.message) from failure

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Read; again where the file had to be rebuilt.

        Raises:
            StorageError: V401, the disk failed; V403, the file is damaged, and there is no room for a new one.
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
        """Somebody may have removed the file: what is open still reads, so it is written out again.

        A file that could not be rebuilt is tried again: there may be room by now.
        """
        with self._swap:
            if self._claim < 0 or time.monotonic() < self._again_s:
                return
            try:
                same = self._path.stat().st_ino == self._inode
            except OSError:
                same = False
            try:
                if not same:
                    self._rebuild("the file was removed", removed=True)
                elif self._shut:
                    self._begin(self._open())
                    self.generation += 1
            except (StorageError, sqlite3.Error) as error:
                log.error("%s", error)
                self._again_s = time.monotonic() + REBUILD_RETRY_S

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
            self.damage = self._from_damaged(str(error))
            return schema.open_database(self._path)
        except OSError as error:
            raise _unusable(self._path, error) from error

    def _begin(self, writing: sqlite3.Connection) -> None:
        self._reader = schema.connect(self._path)
        self._reader.execute("PRAGMA query_only=1")
        self._writer = GroupWriter(writing)
        self._inode = self._path.stat().st_ino
        self._shut = False

    def _rebuild(self, why: str, *, removed: bool = False) -> None:
        """Go on with a new file.

        Raises:
            StorageError: V403, there is no room for it: only a removed file can still be read, until ``look`` succeeds.
        """
        self._shut = True
        self._writer.close()  # what it still writes is a part of what is read
        if not removed:
            self._reader.close()
        self.damage = self._from_damaged(why, self._reader if removed else None)
        self._reader.close()
        self.generation += 1
        self._begin(self._open())

    def _from_damaged(self, why: str, reader: sqlite3.Connection | None = None) -> StorageError:
        try:
            return rebuild.from_damaged(self._path, why, reader, self._alive)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"outbox {self._path} is damaged ({why}) and cannot be made anew: {error}.",
                hint="It needs room for two more of its size; nothing of it is lost until then.",
                code="V403",
            ) from error


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
