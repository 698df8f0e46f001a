"""detect → track: the objects of one picture become the track batch that goes into the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.frames import FrameInfo
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TEXT, Attribute, TrackBatch
from vedette.core.detections import Detections
from vedette.core.rules.clock import REBOOT_S
from vedette.core.tracking import ByteTracker, Tracks

#: Most objects in a batch; the journal and an alert stay small in a crowd.
MAX_OBJECTS: Final = 256


class PipelineTracker:
    """One pipeline's tracker on one camera.

    What confidence means at each step: the model's ``min_confidence`` decides what is detected at all. Of that, the
    tracker uses boxes from its ``low_confidence`` up; only boxes from ``high_confidence`` up start a track, weaker
    ones continue one. A batch holds the confirmed objects with their confidence in this picture, so it may hold
    objects below ``high_confidence``. A rule's ``min_confidence`` is about a track's mean.

    Args:
        plan: labels kept, tracker settings, names.
        labels: the model's class names, in its order.
        first_id: the first track number to give.
        wall_clock: Unix time, for ``analysed_wall_s``; a backtest gives one of its own.
    """

    def __init__(
        self,
        plan: PipelinePlan,
        labels: Sequence[str],
        first_id: int = 1,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._labels = tuple(labels)
        self._wall_clock = wall_clock
        self._tracker = ByteTracker(plan.tracker, first_id)
        self._restored: FrameInfo | None = None
        self._last_s: float | None = None
        self._still_s = 0.0
        self._size: tuple[int, int] | None = None
        self._kept: NDArray[np.bool_] | None = None
        if plan.labels is not None:
            wanted = frozenset(plan.labels)
            self._kept = np.array([label in wanted for label in self._labels], bool)

    @property
    def next_id(self) -> int:
        """The number the next new object gets."""
        return self._tracker.next_id

    def track(self, frame: FrameInfo, detections: Detections) -> TrackBatch:
        """Follow the objects of one picture; classes the pipeline does not keep are dropped before."""
        t_s = self._time_of(frame)
        known = (detections.classes >= 0) & (detections.classes < len(self._labels))
        if self._kept is not None:
            known[known] = self._kept[detections.classes[known]]
        kept = detections if known.all() else detections.where(known)
        tracks = self._tracker.update(kept, t_s)
        # By number, so the oldest stay when there are too many.
        few = slice(0, MAX_OBJECTS)
        # As the journal rounds them, so that a backtest judges the same numbers as the live path.
        boxes = tracks.boxes[few].astype(np.float64).round(1)
        scores = tracks.scores[few].astype(np.float64).round(3)
        return TrackBatch(
            pipeline=self._plan.key,
            frame=frame,
            track_ids=tuple(tracks.ids[few].tolist()),
            boxes=tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in boxes.tolist()),
            labels=tuple(self._labels[index] for index in tracks.classes[few].tolist()),
            scores=tuple(scores.tolist()),
            analysed_wall_s=self._wall_clock(),
            truncated=detections.truncated or len(tracks) > MAX_OBJECTS,
            next_track_id=self._tracker.next_id,
            attributes=_read(kept, tracks, few),
        )

    def _time_of(self, frame: FrameInfo) -> float:
        """The picture's time without the stretches in which nothing moved: no object is lost by them.

        Nobody is known any more where the device was started anew since the picture before a restart. Where the picture
        has another size, as the camera's other stream has, everybody is still where they were.
        """
        restored, self._restored = self._restored, None
        if restored is not None and _rebooted(restored, frame):
            self._tracker.reset()
            self._last_s, self._still_s = None, 0.0
        size, self._size = self._size, (frame.width, frame.height)
        if size is not None and size != self._size and min(size) > 0:
            self._tracker.rescale(frame.width / size[0], frame.height / size[1])
        last_s, self._last_s = self._last_s, frame.t_s
        if last_s is not None and frame.still_s > 0.0:
            self._still_s += max(0.0, min(frame.still_s, frame.t_s - last_s))
        return frame.t_s - self._still_s

    def know(self, labels: Sequence[str]) -> None:
        """Take in class names that come up only while objects are followed; those that are known keep their place."""
        known = frozenset(self._labels)
        self._labels += tuple(dict.fromkeys(label for label in labels if label not in known))
        if self._plan.labels is not None:
            wanted = frozenset(self._plan.labels)
            self._kept = np.array([label in wanted for label in self._labels], bool)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of ``Detections.classes``."""
        return self._labels

    def restore(self, batches: Sequence[TrackBatch]) -> None:
        """Go on after a restart from the last batches of this pipeline and camera in the journal, oldest first.

        Objects keep their numbers where the tracker that is gone would have found them again: still or moving, and
        within ``lost_s`` of when they were seen last. Other objects get numbers that were not given before. Objects of
        a class the model no longer has are dropped.
        """
        index = {label: position for position, label in enumerate(self._labels)}
        given = [number for batch in batches for number in (batch.next_track_id - 1, *batch.track_ids)]
        self._tracker = ByteTracker(self._plan.tracker, max(self._tracker.next_id, *(n + 1 for n in given), 1))
        self._last_s, self._still_s, self._restored, self._size = None, 0.0, None, None
        for batch in batches:
            rows = [row for row, label in enumerate(batch.labels) if label in index]
            self._tracker.follow(
                [batch.track_ids[row] for row in rows],
                [batch.boxes[row] for row in rows],
                [batch.scores[row] for row in rows],
                [index[batch.labels[row]] for row in rows],
                self._time_of(batch.frame),
            )
            self._restored = batch.frame


def _read(detections: Detections, tracks: Tracks, few: slice) -> tuple[tuple[Attribute, ...], ...]:
    """What the detector read at each object, as an attribute of it."""
    if detections.texts is None:
        return ()
    texts = [detections.texts[row] for row in tracks.sources[few].tolist()]
    scores = tracks.scores[few].tolist()
    return tuple((Attribute(TEXT, text, score),) if text else () for text, score in zip(texts, scores, strict=True))


def _rebooted(last: FrameInfo, frame: FrameInfo) -> bool:
    """Whether monotonic and wall clock tell such different stories that the device was started anew in between."""
    return frame.epoch != last.epoch and abs((frame.wall_s - last.wall_s) - (frame.t_s - last.t_s)) > REBOOT_S
