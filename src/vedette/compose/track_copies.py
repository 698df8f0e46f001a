"""Track batches go to the journal, and the newest ones to whoever listens."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from vedette.contracts.tracks import TrackBatch

if TYPE_CHECKING:
    from vedette.ports.journal import JournalWriter


class TrackCopies:
    """Implements ``ports.journal.JournalWriter``: the journal, and the newest batches beside it.

    Args:
        journal: gets every batch.
        copies: bounded; gets every batch too.
    """

    def __init__(self, journal: JournalWriter, copies: deque[TrackBatch]) -> None:
        self._journal = journal
        self._copies = copies

    def append(self, batch: TrackBatch) -> None:
        """Hand one batch over."""
        self._journal.append(batch)
        self._copies.append(batch)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()
