"""Going on after a restart: who was there, from the last track batches in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vedette.contracts.tracks import TrackBatch

_Box = tuple[float, float, float, float]


def with_lost_objects(last: TrackBatch, earlier: Sequence[TrackBatch], lost_s: float) -> TrackBatch:
    """The last batch, and the objects that it misses but that a tracker would still have looked for.

    A detector misses an object now and then. Were the last picture before a restart such a one, the object would get
    a new number, and what was reported of it would be reported again.

    Args:
        last: the newest batch of a pipeline and camera.
        earlier: batches of the same before it, in any order.
        lost_s: how long an unseen object keeps its number.

    Returns:
        ``last`` with each such object at the place where it was seen last.
    """
    seen: dict[int, tuple[_Box, str, float]] = {}
    for batch in sorted((b for b in earlier if b.frame.t_s <= last.frame.t_s), key=lambda b: b.frame.t_s):
        if last.frame.t_s - batch.frame.t_s <= lost_s:
            seen |= _objects(batch)
    seen |= _objects(last)
    return replace(
        last,
        track_ids=tuple(seen),
        boxes=tuple(box for box, _, _ in seen.values()),
        labels=tuple(label for _, label, _ in seen.values()),
        scores=tuple(score for _, _, score in seen.values()),
    )


def _objects(batch: TrackBatch) -> dict[int, tuple[_Box, str, float]]:
    columns = zip(batch.track_ids, batch.boxes, batch.labels, batch.scores, strict=True)
    return {number: (box, label, score) for number, box, label, score in columns}
