"""ByteTrack (Zhang et al., ECCV 2022), all tracks of a camera in one set of NumPy arrays.

Sure boxes are matched first, then the tracks they left over are continued with unsure ones: an object that is half
hidden gives weak boxes, and throwing them away is what breaks tracks.

What differs from the paper, and why: times are in seconds (sampling is not regular); numbers belong to the instance and
are given when a track is confirmed, so that they count objects; a track that was seen only a moment ago survives a
picture without it even before it is confirmed; a second box on an object that is already followed starts no twin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vedette.contracts.manifest import Tracker
from vedette.core.detections import Detections
from vedette.core.nms import iou
from vedette.core.tracking import motion
from vedette.core.tracking.association import assign, shares
from vedette.core.tracking.table import TrackTable

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

#: Most tracks kept, and most boxes looked at in a picture; the longest unseen, and the weakest, go first.
MAX_TRACKS: Final = 512
#: Time between pictures that is assumed until it is known, and the longest that is believed, seconds.
FIRST_INTERVAL_S: Final = 0.2
LONGEST_INTERVAL_S: Final = 1.0
#: Overlap from which a second box on a followed object is a twin and starts no track.
TWIN_OVERLAP: Final = 0.7
#: In class-agnostic tracking, a box that lies within another to this share, and overlaps it this much, is a part of
#: the same object (the windscreen of a car). People are tracked by class: one may stand before another.
PART_SHARE: Final = 0.9
PART_OVERLAP: Final = 0.4
#: A track continues with an unsure box only while it was seen this long ago, and with at least this overlap.
UNSURE_S: Final = 1.0
UNSURE_OVERLAP: Final = 0.3
#: How long an unseen object is taken to keep its speed, seconds.
STEADY_S: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Confirmed objects seen in one picture, in the order of their numbers.

    Attributes:
        ids: int64 (n,), never reused by the tracker that gave them.
        boxes: float32 (n, 4), as detected: ``x1, y1, x2, y2`` in pixels of the original picture.
        scores: float32 (n,), confidence in this picture.
        classes: int32 (n,), index into the model's labels; by vote where the tracker is class-agnostic.
        sources: intp (n,), row of each object among the detections of this picture.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    sources: NDArray[np.intp]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.ids)


class ByteTracker:
    """Follows the objects of one camera through one pipeline.

    Args:
        settings: thresholds and times.
        first_id: the first number to give.
    """

    def __init__(self, settings: Tracker, first_id: int = 1) -> None:
        if first_id < 1:
            raise ValueError(f"track numbers start at 1 or above; first_id is {first_id}")
        self._settings = settings
        self._next_id = first_id
        self._table = TrackTable.empty()
        self._last_s: float | None = None
        self._interval_s = FIRST_INTERVAL_S

    @property
    def next_id(self) -> int:
        """The number the next confirmed object gets."""
        return self._next_id

    @property
    def _patience_s(self) -> float:
        """Time since the last sighting after which an object is given up.

        It is missed only from the picture after its last one on, which comes an interval later, or two.
        """
        return self._settings.lost_s + 1.5 * self._interval_s

    def __len__(self) -> int:
        """Tracks in memory: confirmed, lost and not yet confirmed."""
        return len(self._table)

    def reset(self) -> None:
        """Forget every track; numbers go on."""
        self._table = TrackTable.empty()
        self._last_s = None

    def rescale(self, across: float, down: float) -> None:
        """The picture has so many times as many pixels across and down: objects are where they were, in new pixels."""
        self._table.boxes *= (across, down, across, down)
        motion.rescale(self._table.state, across, down)

    def follow(self, ids: ArrayLike, boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike, t_s: float) -> None:
        """Take in a picture whose objects have their numbers, given before a restart by the tracker that is gone.

        One picture after the other, this leads to what that tracker knew: who was there, how they move, and for how
        long those have been gone that are not there any more.

        Args:
            ids: numbers, (n,).
            boxes: (n, 4), pixels of the original picture.
            scores: (n,).
            classes: (n,), index into the model's labels.
            t_s: time of that picture, seconds.

        Raises:
            ValueError: the columns differ in length, or ``t_s`` is not a finite number.
        """
        numbers = np.asarray(ids, np.int64).reshape(-1)
        places = np.asarray(boxes, np.float64).reshape(-1, 4)
        weights = np.asarray(scores, np.float64).reshape(-1)
        kinds = np.asarray(classes, np.int64).reshape(-1)
        if not len(numbers) == len(places) == len(weights) == len(kinds):
            raise ValueError(
                f"columns differ in length: {len(numbers)} ids, {len(places)} boxes, "
                f"{len(weights)} scores, {len(kinds)} classes"
            )
        if not math.isfinite(t_s):
            raise ValueError(f"t_s must be a finite number; it is {t_s}")
        if len(numbers):
            self._next_id = max(self._next_id, int(numbers.max()) + 1)
        self._advance(t_s)
        good = _usable(places, weights) & (numbers > 0)
        numbers, places, weights, kinds = numbers[good], places[good], weights[good], kinds[good]
        row_of = {number: row for row, number in enumerate(self._table.ids.tolist()) if number}
        rows = np.array([row_of.get(number, -1) for number in numbers.tolist()], np.intp)
        old = rows >= 0
        self._sight(rows[old], self._predicted(t_s), places[old], weights[old], kinds[old], np.full(old.sum(), -1), t_s)
        fresh = TrackTable.begin(places[~old], weights[~old], kinds[~old], t_s)
        fresh.ids[:] = numbers[~old]
        fresh.hits[:] = self._settings.min_hits
        self._table = self._table.joined(fresh)
        self._forget(t_s)

    def update(self, detections: Detections, t_s: float) -> Tracks:
        """Take in one picture.

        Args:
            detections: every box of the picture from ``low_confidence`` up; weaker ones are left alone. Their order
                does not matter.
            t_s: time of the picture, seconds. A time before the last one, or later than ``lost_s`` after it,
                drops all tracks.

        Returns:
            The confirmed objects seen in this picture.

        Raises:
            ValueError: ``t_s`` is not a finite number.
        """
        if not math.isfinite(t_s):
            raise ValueError(f"t_s must be a finite number; it is {t_s}")
        self._advance(t_s)
        boxes, scores, classes, order = self._in_order(detections)
        table = self._table
        table.sources[:] = -1  # nobody is seen in this picture yet, though it may have the time of the one before
        unseen_s = t_s - table.seen_s
        predicted = self._predicted(t_s)
        expected = motion.corners(predicted[:, motion.PLACE])
        similarity = iou(expected, boxes)
        if not self._settings.class_agnostic:
            similarity *= table.classes[:, None] == classes[None, :]

        track_of = np.full(len(boxes), -1, np.intp)
        free = np.ones(len(table), bool)
        confirmed = table.ids > 0
        tentative = ~confirmed
        sure = scores >= self._settings.high_confidence
        least = max(self._settings.match_iou, 1e-6)

        def pair(tracks: NDArray[np.bool_], wanted: NDArray[np.bool_], floor: float) -> None:
            rows, columns = (tracks & free).nonzero()[0], (wanted & (track_of < 0)).nonzero()[0]
            if not len(rows) or not len(columns):
                return
            whole = len(rows) == len(free) and len(columns) == len(track_of)
            row, column = assign(similarity if whole else similarity[rows[:, None], columns], floor)
            track_of[columns[column]] = rows[row]
            free[rows[row]] = False

        pair(confirmed, sure, least)
        if not sure.all():
            pair(confirmed & (unseen_s <= UNSURE_S + self._interval_s), ~sure, max(least, UNSURE_OVERLAP))
        if tentative.any():
            pair(tentative, sure, least)
            pair(tentative, ~sure, max(least, UNSURE_OVERLAP))

        self._take_in(predicted, track_of, boxes, scores, classes, order, t_s)
        self._born(boxes, scores, classes, order, sure & (track_of < 0), track_of >= 0, t_s)
        self._forget(t_s)
        return self._seen_now()

    def _advance(self, t_s: float) -> None:
        """Learn the time between pictures; drop all tracks where time broke, and those unseen for too long by now.

        After a gap in the pictures that comes before anybody is matched: who left before it did not come back.
        """
        last_s, self._last_s = self._last_s, t_s
        if last_s is None:
            return
        step_s = t_s - last_s
        if step_s < 0.0 or step_s > self._patience_s:
            self._table = TrackTable.empty()
        elif 0.0 < step_s <= LONGEST_INTERVAL_S:
            self._interval_s += 0.1 * (step_s - self._interval_s)
        gone = (self._table.ids > 0) & (t_s - self._table.seen_s > self._patience_s)
        if gone.any():
            self._table = self._table.rows((~gone).nonzero()[0])

    def _in_order(self, detections: Detections) -> tuple[Floats, Floats, NDArray[np.int64], Integers]:
        """Usable boxes, strongest first, and their rows; ties by place: the order of the input does not matter."""
        boxes = detections.boxes.astype(np.float64)
        scores = detections.scores.astype(np.float64)
        keep = (_usable(boxes, scores) & (scores >= self._settings.low_confidence)).nonzero()[0]
        columns = boxes[keep]
        order = keep[
            np.lexsort(
                (detections.classes[keep], columns[:, 3], columns[:, 2], columns[:, 1], columns[:, 0], -scores[keep])
            )
        ][:MAX_TRACKS]
        return boxes[order], scores[order], detections.classes[order].astype(np.int64), order

    def _take_in(
        self,
        predicted: Floats,
        track_of: Integers,
        boxes: Floats,
        scores: Floats,
        classes: NDArray[np.int64],
        order: Integers,
        t_s: float,
    ) -> None:
        """Correct the matched tracks and confirm those that have been seen often enough."""
        columns = (track_of >= 0).nonzero()[0]
        rows = track_of[columns]
        if not len(rows):
            return
        self._sight(rows, predicted, boxes[columns], scores[columns], classes[columns], order[columns], t_s)
        # An unsure box keeps a track alive, but only sure ones confirm it.
        self._table.hits[rows] += scores[columns] >= self._settings.high_confidence
        self._confirm()

    def _predicted(self, t_s: float) -> Floats:
        """Where the tracks are expected; ``motion``'s state."""
        return motion.predict(self._table.state, t_s - self._table.seen_s, max(STEADY_S, 1.5 * self._interval_s))

    def _sight(
        self,
        rows: Integers,
        predicted: Floats,
        boxes: Floats,
        scores: Floats,
        classes: NDArray[np.int64],
        sources: Integers,
        t_s: float,
    ) -> None:
        """Note where tracks were seen; ``predicted`` is of all tracks, the rest of those in ``rows``."""
        table = self._table
        table.state[rows] = motion.correct(predicted[rows], boxes)
        table.sight(rows, boxes, scores, t_s, sources)
        if self._settings.class_agnostic:
            table.vote(rows, classes, scores)

    def _born(
        self,
        boxes: Floats,
        scores: Floats,
        classes: NDArray[np.int64],
        order: Integers,
        new: NDArray[np.bool_],
        matched: NDArray[np.bool_],
        t_s: float,
    ) -> None:
        """Start a track for every sure box that belongs to none, and is not a second box on the same object."""
        candidates = new.nonzero()[0]
        if not len(candidates):
            return
        overlap = iou(boxes[candidates], boxes)
        if self._settings.class_agnostic:
            twins = (overlap > TWIN_OVERLAP) | (
                (overlap > PART_OVERLAP) & (shares(boxes[candidates], boxes) > PART_SHARE)
            )
        else:
            twins = (overlap > TWIN_OVERLAP) & (classes[candidates, None] == classes[None, :])
        # Boxes are in the order of their strength: a twin yields to a followed box, or to a stronger new one.
        stronger = np.arange(len(boxes))[None, :] < candidates[:, None]
        candidates = candidates[~(twins & (matched[None, :] | (new[None, :] & stronger))).any(axis=1)]
        fresh = TrackTable.begin(boxes[candidates], scores[candidates], classes[candidates], t_s, order[candidates])
        self._table = self._table.joined(fresh)
        self._confirm()

    def _confirm(self) -> None:
        table = self._table
        ready = ((table.ids == 0) & (table.hits >= self._settings.min_hits)).nonzero()[0]
        if len(ready):
            # Strongest first, then by place: rows depend on history, which the order of the input does not touch.
            table.ids[ready] = np.arange(self._next_id, self._next_id + len(ready))
            self._next_id += len(ready)

    def _forget(self, t_s: float) -> None:
        """Drop what was not confirmed in time, and the longest unseen where there are too many."""
        table = self._table
        unseen_s = t_s - table.seen_s
        keep = ((table.ids > 0) | (unseen_s <= 2.5 * self._interval_s)).nonzero()[0]
        if len(keep) > MAX_TRACKS:
            keep = np.sort(keep[np.argsort(unseen_s[keep], kind="stable")[:MAX_TRACKS]])
        if len(keep) < len(table):
            self._table = table.rows(keep)

    def _seen_now(self) -> Tracks:
        table = self._table
        rows = ((table.sources >= 0) & (table.ids > 0)).nonzero()[0]
        rows = rows[np.argsort(table.ids[rows], kind="stable")]
        return Tracks(
            ids=table.ids[rows],
            boxes=table.boxes[rows].astype(np.float32),
            scores=table.scores[rows].astype(np.float32),
            classes=table.classes[rows].astype(np.int32),
            sources=table.sources[rows],
        )


def _usable(boxes: Floats, scores: Floats) -> NDArray[np.bool_]:
    """Boxes with finite numbers and some area; bool (n,)."""
    with np.errstate(invalid="ignore"):
        area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    result: NDArray[np.bool_] = area & np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    return result
