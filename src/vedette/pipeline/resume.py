"""Going on after a restart: who was there, from the last track batches in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vedette.contracts.tracks import TrackBatch

_Box = tuple[float, float, float, float]


def with_lost_objects(
    last: TrackBatch, earlier: Sequence[TrackBatch], lost_s: float
) -> tuple[TrackBatch, tuple[float, ...]]:
    """The last batch, and the objects that it misses but that a tracker would still have looked for.

    A detector misses an object now and then. Were the last picture before a restart such a one, the object would get
    a new number, and what was reported of it would be reported again. An object that had left before keeps the time
    that it was out of sight: whoever comes to its place later is somebody else, and is reported.

    Args:
        last: the newest batch of a pipeline and camera.
        earlier: batches of the same before it, in any order.
        lost_s: how long an unseen object keeps its number.

    Returns:
        ``last`` with each such object at the place where it was seen last; and when that was, for each object, in
        the time of ``last``: stretches in which nothing moved do not count, as with a tracker that is not restarted.
    """
    seen: dict[int, tuple[_Box, str, float]] = {}
    moving_s: dict[int, float] = {}
    still_s, before_s = 0.0, last.frame.t_s
    for batch in (*sorted((b for b in earlier if b.frame.t_s < last.frame.t_s), key=lambda b: b.frame.t_s), last):
        frame = batch.frame
        if last.frame.t_s - frame.t_s > lost_s:
            continue
        still_s += max(0.0, min(frame.still_s, frame.t_s - before_s))
        before_s = frame.t_s
        seen |= _objects(batch)
        moving_s |= dict.fromkeys(batch.track_ids, frame.t_s - still_s)
    known = replace(
        last,
        track_ids=tuple(seen),
        boxes=tuple(box for box, _, _ in seen.values()),
        labels=tuple(label for _, label, _ in seen.values()),
        scores=tuple(score for _, _, score in seen.values()),
    )
    return known, tuple(moving_s[number] + still_s for number in seen)


def _objects(batch: TrackBatch) -> dict[int, tuple[_Box, str, float]]:
    columns = zip(batch.track_ids, batch.boxes, batch.labels, batch.scores, strict=True)
    return {number: (box, label, score) for number, box, label, score in columns}
