"""All tracks of one camera as columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from vedette.core.tracking import motion

Floats = NDArray[np.float64]

#: Most classes the vote tells apart; the vote of a class above is not counted.
MAX_CLASSES: Final = 4096


@dataclass(slots=True, eq=False)
class TrackTable:
    """One row for each track.

    Attributes:
        state: float64 (n, 11), ``motion``'s, at the last sighting.
        seen_s: float64 (n,), time of the last sighting.
        boxes: float64 (n, 4), the last box.
        scores: float64 (n,), its confidence.
        classes: int64 (n,), the track's class.
        hits: int64 (n,), sure sightings so far.
        ids: int64 (n,), 0 until confirmed.
        sources: int64 (n,), row of its box among the detections of the picture under way; -1 where it is not in it.
        votes: float64 (n, k), summed confidence per class, k no more than the classes seen require.
    """

    state: Floats
    seen_s: Floats
    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]
    hits: NDArray[np.int64]
    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    votes: Floats

    @classmethod
    def empty(cls) -> Self:
        """No track."""
        return cls.begin(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64), 0.0)

    @classmethod
    def begin(
        cls,
        boxes: Floats,
        scores: Floats,
        classes: NDArray[np.int64],
        t_s: float,
        sources: NDArray[np.intp] | None = None,
    ) -> Self:
        """Tracks seen for the first time, not confirmed."""
        n = len(boxes)
        table = cls(
            state=motion.begin(boxes),
            seen_s=np.full(n, t_s),
            boxes=boxes.copy(),
            scores=scores.copy(),
            classes=classes.copy(),
            hits=np.ones(n, np.int64),
            ids=np.zeros(n, np.int64),
            sources=np.full(n, -1, np.int64) if sources is None else sources.astype(np.int64),
            votes=np.zeros((n, 0)),
        )
        table._count(np.arange(n), classes, scores)
        return table

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.ids)

    def rows(self, index: NDArray[np.intp]) -> Self:
        """The tracks with these row numbers, as a new table."""
        return type(self)(**{name: column[index] for name, column in self._columns().items()})

    def joined(self, other: Self) -> Self:
        """These tracks, then the other's, as a new table."""
        width = max(self.votes.shape[1], other.votes.shape[1])
        self._widen(width)
        other._widen(width)
        mine, theirs = self._columns(), other._columns()
        return type(self)(**{name: np.concatenate((mine[name], theirs[name])) for name in mine})

    def sight(
        self, rows: NDArray[np.intp], boxes: Floats, scores: Floats, t_s: float, sources: NDArray[np.intp]
    ) -> None:
        """Note that tracks were seen."""
        self.seen_s[rows] = t_s
        self.boxes[rows] = boxes
        self.scores[rows] = scores
        self.sources[rows] = sources

    def vote(self, rows: NDArray[np.intp], classes: NDArray[np.int64], scores: Floats) -> None:
        """Let boxes vote for the class of their tracks, each with its confidence."""
        self._count(rows, classes, scores)
        self.classes[rows] = self.votes[rows].argmax(axis=1)

    def _count(self, rows: NDArray[np.intp], classes: NDArray[np.int64], scores: Floats) -> None:
        known = (classes >= 0) & (classes < MAX_CLASSES)
        if not known.any():
            self._widen(1)
            return
        self._widen(int(classes[known].max()) + 1)
        self.votes[rows[known], classes[known]] += scores[known]

    def _widen(self, width: int) -> None:
        missing = width - self.votes.shape[1]
        if missing > 0:
            self.votes = np.concatenate((self.votes, np.zeros((len(self), missing))), axis=1)

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
