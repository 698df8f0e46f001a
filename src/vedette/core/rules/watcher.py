"""A stream of batches as one rule or insight sees it: only the objects it is about, and where they stand."""

from __future__ import annotations

from typing import Any, Final

from vedette.contracts.manifest import Anchor
from vedette.contracts.tracks import TrackBatch
from vedette.core import geometry
from vedette.core.rules.clock import Tick
from vedette.core.rules.scene import Moment, Scene, Sighting
from vedette.core.rules.selection import Selection

#: A coordinate from here on is no place in a picture, pixels; NaN is none either.
FARTHEST_PX: Final = 1e6


class Watcher:
    """Picks out of each batch what something is about.

    Args:
        anchor: the point of a box that is tested.
        selection: which objects count.
    """

    def __init__(self, anchor: Anchor, selection: Selection) -> None:
        self._anchor = anchor
        self._selection = selection

    def look(self, batch: TrackBatch, tick: Tick, *, armed: bool = True) -> Scene:
        """One picture. To be asked once for each, in order."""
        frame = batch.frame
        if tick.broken:
            self._selection.forget()
        seen = batch.attributes or ((),) * len(batch.track_ids)
        admits, known = self._selection.admits, self._selection.known
        chosen = [
            row
            for row, (track_id, label, score, found, (x1, y1, x2, y2)) in enumerate(
                zip(batch.track_ids, batch.labels, batch.scores, seen, batch.boxes, strict=True)
            )
            if admits(track_id, label, score, tick.now_s, found)
            and -FARTHEST_PX < x1 < FARTHEST_PX
            and -FARTHEST_PX < y1 < FARTHEST_PX
            and -FARTHEST_PX < x2 < FARTHEST_PX
            and -FARTHEST_PX < y2 < FARTHEST_PX
        ]
        ids, boxes, labels, scores = batch.track_ids, batch.boxes, batch.labels, batch.scores
        objects = tuple(Sighting(ids[row], boxes[row], labels[row], scores[row], known(ids[row])) for row in chosen)
        observed = tuple(seen[row] for row in chosen)
        self._selection.tidy(tick.now_s)
        points = geometry.anchors([sighting.box for sighting in objects], self._anchor, frame.width, frame.height)
        return Scene(tick, Moment.of(frame), objects, points, armed, observed, (frame.width, frame.height))

    def state(self) -> dict[str, Any]:
        """All that the future depends on, as small JSON."""
        return self._selection.state()

    def restore(self, state: Any) -> None:
        """Go on from ``state()``.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is not such a state.
        """
        self._selection.restore(state)
