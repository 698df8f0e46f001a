"""A row of the journal: what inference saw in a picture, or what an application's own code raised."""

from __future__ import annotations

from typing import Final, NamedTuple

from vedette.contracts.hook_event import HookEvent
from vedette.contracts.tracks import TrackBatch

_WITH_KIND: Final = b'{"kind":'

JournalRow = TrackBatch | HookEvent


class RowIndex(NamedTuple):
    """What a row is found by.

    Attributes:
        source: ``<application>/<pipeline>``, or ``hook:<application>/<hook>``, which no pipeline can be called.
        camera: the device's name of the camera.
        at: Unix time at which the row was made.
    """

    source: str
    camera: str
    at: float


def index_of(row: JournalRow) -> RowIndex:
    """What a row is found by."""
    if isinstance(row, HookEvent):
        return RowIndex(f"hook:{row.application}/{row.hook}", row.camera, row.at)
    return RowIndex(row.pipeline, row.frame.camera, row.analysed_wall_s)


def row_from_json(payload: bytes) -> JournalRow:
    """Read what ``to_json`` of either kind wrote.

    Raises:
        StorageError: V402, it is of no kind and version that this release reads.
    """
    # The kind stands first where there is one, so that the many track batches are parsed once.
    return HookEvent.from_json(payload) if payload.startswith(_WITH_KIND) else TrackBatch.from_json(payload)
