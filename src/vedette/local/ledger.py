"""What the cloud would remember of a device's alerts: each one once, and how far the sequence is complete."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from vedette.contracts.errors import StorageError
from vedette.core.fleet.acknowledgement import Range, merged
from vedette.core.fleet.entries import Entry, NotForLedgerError

__all__ = ["Entry", "Ledger", "NotForLedgerError"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alerts (
    alert_id TEXT PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, received_s REAL NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS ranges (
    epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (epoch, first)
) WITHOUT ROWID;
"""


class Ledger:
    """A SQLite file; one thread at a time.

    Args:
        path: the file, made where it is missing.

    Raises:
        StorageError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")  # acknowledged means safe
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StorageError(f"{path}: the ledger cannot be opened ({error}).", code="V401") from None

    def record(self, entries: Iterable[Entry], *, received_s: float) -> dict[str, int]:
        """Adds messages in one transaction; repeats change nothing.

        Args:
            entries: what came.
            received_s: when, seconds since 1970.

        Returns:
            For each epoch touched, the sequence number through which nothing is missing; 0 where 1 is.

        Raises:
            StorageError: nothing was recorded.
        """
        epochs: set[str] = set()
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for entry in entries:
                    self._add(entry, received_s)
                    epochs.add(entry.epoch)
                through = {epoch: self._through(epoch) for epoch in sorted(epochs)}
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StorageError(f"the ledger cannot be written ({error}).", code="V401") from None
        return through

    def _add(self, entry: Entry, received_s: float) -> None:
        if entry.alert_id is not None:
            self._database.execute(
                "INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?)",
                (entry.alert_id, entry.epoch, entry.first, received_s, entry.payload),
            )
        touching = self._database.execute(
            "SELECT first, last FROM ranges WHERE epoch = ? AND first <= ? AND last >= ?",
            (entry.epoch, entry.last + 1, entry.first - 1),
        ).fetchall()
        (whole,) = merged((Range(entry.first, entry.last), *(Range(*row) for row in touching)))
        self._database.executemany(
            "DELETE FROM ranges WHERE epoch = ? AND first = ?", [(entry.epoch, row[0]) for row in touching]
        )
        self._database.execute("INSERT INTO ranges VALUES (?, ?, ?)", (entry.epoch, whole.first, whole.last))

    def _through(self, epoch: str) -> int:
        row = self._database.execute("SELECT last FROM ranges WHERE epoch = ? AND first = 1", (epoch,)).fetchone()
        return int(row[0]) if row else 0

    def alerts(self) -> Iterator[dict[str, Any]]:
        """Every alert's message, in the order of arrival."""
        for (payload,) in self._database.execute("SELECT payload FROM alerts ORDER BY rowid"):
            yield json.loads(payload)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
