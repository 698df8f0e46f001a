"""Which objects a rule is about: labels, and confidence and attributes judged by track rather than by picture."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from vedette.contracts.tracks import Attribute
from vedette.core.rules.attributes import AttributeBook
from vedette.core.rules.clock import FORGET_S

#: Weight of the newest picture in a track's mean confidence.
NEWEST: Final = 0.2
#: An object that counted goes on counting down to this share of the confidence asked for.
TOLERATED: Final = 0.7
#: Most tracks remembered.
MAX_TRACKS: Final = 1024


class Selection:
    """Lets through the objects of certain labels and attributes whose track is confident enough.

    An object counts once the mean confidence of its track (newest picture 20 %) has reached ``min_confidence``, and
    until that mean has fallen below 70 % of it: one weak picture does not end a visit.

    Args:
        labels: let through; all where None.
        min_confidence: 0 lets everything through.
        where: attribute → values let through. An object of which nothing is known yet is not let through.
    """

    def __init__(
        self,
        labels: Collection[str] | None,
        min_confidence: float,
        where: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._labels = None if labels is None else frozenset(labels)
        self._least = min_confidence
        self._where = {name: frozenset(values) for name, values in (where or {}).items()}
        self.book = AttributeBook()
        self._tracks: dict[int, tuple[float, bool, float]] = {}

    def known(self, track_id: int) -> tuple[tuple[str, str], ...]:
        """What is known of an object, as pairs of attribute and value in the order of the names."""
        known = self.book.known(track_id)
        return tuple(sorted(known.items())) if known else ()

    def admits(self, track_id: int, label: str, score: float, now_s: float, found: Sequence[Attribute] = ()) -> bool:
        """Whether the object counts in this picture. To be asked once for each object and picture."""
        if not math.isfinite(score) or (self._labels is not None and label not in self._labels):
            return False
        self.book.see(track_id, found, now_s)
        if self._where:
            has = self.book.known(track_id)
            if any(has.get(name) not in values for name, values in self._where.items()):
                return False
        if self._least <= 0.0:
            return True
        mean, counted, _ = self._tracks.pop(track_id, (score, False, now_s))
        mean += NEWEST * (score - mean)
        counts = mean >= self._least * (TOLERATED if counted else 1.0)
        self._tracks[track_id] = (mean, counts, now_s)
        return counts

    def tidy(self, now_s: float) -> None:
        """Drop tracks unseen for long. Tracks stand in the order of their last sighting."""
        self.book.tidy(now_s)
        while self._tracks:
            oldest = next(iter(self._tracks))
            if len(self._tracks) <= MAX_TRACKS and now_s - self._tracks[oldest][2] <= FORGET_S:
                break
            del self._tracks[oldest]

    def forget(self) -> None:
        """Drop all tracks."""
        self._tracks.clear()
        self.book.forget()

    def state(self) -> dict[str, Any]:
        """Small JSON."""
        return {"tracks": [[track_id, *entry] for track_id, entry in self._tracks.items()], "book": self.book.state()}

    def restore(self, state: Any) -> None:
        """Go on from ``state()``, also of the release before attributes: a list of tracks."""
        saved = {"tracks": state, "book": []} if isinstance(state, list) else state
        self.book.restore(saved["book"])
        self._tracks = {
            int(track_id): (float(mean), bool(counts), float(seen_s))
            for track_id, mean, counts, seen_s in saved["tracks"]
        }
