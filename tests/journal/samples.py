"""Track batches for the tests of the journal and of what reads it."""

from __future__ import annotations

from vedette.contracts.frames import FrameInfo
from vedette.contracts.tracks import TrackBatch


def batch(
    number: int,
    *,
    camera: str = "gate",
    pipeline: str = "app/people",
    at: float | None = None,
    boxes: tuple[tuple[float, float, float, float], ...] = (),
    epoch: str = "e1",
    fps: float = 10.0,
) -> TrackBatch:
    """Picture ``number`` of a camera at ``fps``; one person per box, numbered from 1."""
    return TrackBatch(
        pipeline=pipeline,
        frame=FrameInfo(camera, epoch, number, number / fps, number / fps, 1.7e9 + number / fps, 640, 480),
        track_ids=tuple(range(1, len(boxes) + 1)),
        boxes=boxes,
        labels=("person",) * len(boxes),
        scores=(0.9,) * len(boxes),
        analysed_wall_s=1.7e9 + number / fps if at is None else at,
    )
