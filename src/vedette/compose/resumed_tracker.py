"""Trackers that go on where the journal ends: who was there keeps the number, no number is given twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.pipeline.track import PipelineTracker


def resumed_tracker(
    journal: Path, pipeline: PipelinePlan, labels: Sequence[str], *, more_labels: bool = False
) -> PipelineTracker:
    """The tracker of a pipeline on a camera.

    Args:
        journal: ``<state>/journal.db``.
        pipeline: whose objects are followed.
        labels: the model's class names, in its order.
        more_labels: whether classes come up only while objects are followed, so that those of the journal count too.
    """
    tracker = PipelineTracker(pipeline, labels)
    with closing(SqliteJournalReader(journal)) as reader:
        last = reader.last(pipeline.key, pipeline.camera, 0.0)
        if last is not None:
            batches = remembered(last, pipeline, partial(reader.recent, pipeline.key, pipeline.camera))
            if more_labels:
                tracker.know([label for batch in batches for label in batch.labels])
            tracker.restore(batches)
    return tracker


def remembered(
    last: TrackBatch, pipeline: PipelinePlan, recent: Callable[[float], Sequence[TrackBatch]]
) -> list[TrackBatch]:
    """Batches as far back as a tracker remembers, oldest first.

    Args:
        last: the newest.
        pipeline: whose objects are followed.
        recent: batches that were analysed at or after a Unix time, newest first; only so many of them.
    """
    batches = recent(last.analysed_wall_s - pipeline.tracker.lost_s - 2 / pipeline.fps)
    if any(batch.frame.still_s for batch in batches):  # stretches in which nothing moved do not count
        batches = recent(0.0)
    return [*reversed(batches)] or [last]
