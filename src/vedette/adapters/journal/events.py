"""Appending to the journal what must outlive a power cut: events that no other file holds in the end."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from vedette.adapters.journal import files
from vedette.adapters.journal.bell import Bell
from vedette.adapters.journal.sqlite import insert
from vedette.contracts.errors import StorageError
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.journal import index_of

log = logging.getLogger(__name__)


class SqliteEventJournal:
    """Implements ``vedette.ports.journal.EventJournal``. For one thread.

    Events are a few a minute, so each append waits for the disk. The flush covers everything written to the journal
    before, so no number below the events' own can be taken back by a power cut and given to another row.

    Args:
        path: ``<state>/journal.db``; made where it does not exist.
        bell: one of the doorbells; all in its directory are rung.
    """

    def __init__(self, path: Path, bell: Path) -> None:
        self._path = path
        self._bell = Bell(bell)
        self._name = ""
        self._connection: sqlite3.Connection | None = None

    def append(self, events: Sequence[HookEvent]) -> None:
        """Append events; on return they are on disk.

        Raises:
            StorageError: V401, the disk refuses or the journal is damaged; append them again.
        """
        if not events:
            return
        rows = [(*index_of(event), event.to_json()) for event in events]
        try:
            insert(self._connected(), rows)
            files.flush(self._path, self._name, carry_over=False)
        except (sqlite3.Error, OSError) as error:
            raise self._refused(error) from error
        if files.identity(self._path) != self._name:  # put aside by another process meanwhile, with the events in it
            raise StorageError(f"journal {self._path} was replaced while events were appended.", code="V401")
        self._bell.ring()

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._disconnect()
        self._bell.close()

    def _connected(self) -> sqlite3.Connection:
        """To the file the journal is now: another process may have put a damaged one aside."""
        name = files.ensure(self._path)
        if name != self._name:
            self._disconnect()
        if self._connection is None:
            self._connection = files.connect(self._path, name, create=True)
            self._name = name
        return self._connection

    def _refused(self, error: Exception) -> StorageError:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
        if isinstance(error, sqlite3.Error) and files.is_damage(error):
            self._disconnect()
            files.put_aside(self._path, self._name, str(error))
        return StorageError(
            f"journal {self._path} cannot be written to ({error}); what hooks raised waits.",
            hint="Free some space on this disk, or look after it.",
            code="V401",
        )

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
