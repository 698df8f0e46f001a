"""The journal: every analysed picture's track batch, and what hooks raised, on disk before anything is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vedette.contracts.hook_event import HookEvent
from vedette.contracts.journal import JournalRow
from vedette.contracts.tracks import TrackBatch


class JournalWriter(Protocol):
    """Appends batches. ``append`` returns at once; a group is committed within 20 ms."""

    def append(self, batch: TrackBatch) -> None:
        """Hand one batch over. Where the disk cannot follow, the oldest waiting batches are dropped and counted."""
        ...

    def close(self) -> None:
        """Commit what is waiting."""
        ...


class EventJournal(Protocol):
    """Appends what hooks raised."""

    def append(self, events: Sequence[HookEvent]) -> None:
        """Append events; on return they are on disk and outlive a power cut.

        Raises:
            StorageError: V401, the disk refuses; nothing was appended.
        """
        ...


class JournalSource(Protocol):
    """The journal as those see it who follow it by a durable cursor."""

    def identity(self) -> str:
        """Name of the journal; empty where there is none yet."""
        ...

    def position(self, before_wall_s: float) -> int:
        """Sequence number of the newest row made before a time; 0 where there is none."""
        ...

    def read(self, after: int, limit: int) -> Sequence[tuple[int, JournalRow]]:
        """Rows above a sequence number, in order."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something may have been appended."""
        ...


class JournalReader(Protocol):
    """Reads rows in the order of their sequence number."""

    def identity(self) -> str:
        """Name of the journal; another one (the old was damaged or removed) counts its numbers anew. Empty: none yet.

        ``read`` stays with the journal that the last call of ``identity`` found.
        """
        ...

    def read(self, after: int, limit: int) -> Sequence[tuple[int, JournalRow]]:
        """Up to ``limit`` rows with a sequence number above ``after``, as (sequence number, row)."""
        ...

    def last(self, pipeline: str, camera: str, since_wall_s: float) -> TrackBatch | None:
        """The newest batch of a pipeline and camera analysed at or after ``since_wall_s``."""
        ...

    def recent(self, pipeline: str, camera: str, since_wall_s: float, limit: int = 256) -> Sequence[TrackBatch]:
        """Batches of a pipeline and camera analysed at or after ``since_wall_s``, newest first."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something may have been appended; False on time-out."""
        ...
