"""drawn → track: what an application's code drew into a picture becomes the track batch that goes into the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Tracker
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import Note, TrackBatch
from vedette.core.detections import Detections
from vedette.core.drawn import objects_drawn
from vedette.core.labels import OBJECT
from vedette.pipeline.track import MAX_OBJECTS, PipelineTracker
from vedette.ports.journal import JournalWriter
from vedette.ports.panorama import OutputPicture

#: The code has decided what an object is: everything that it drew counts, from the first picture on.
DRAWN_TRACKER: Final = Tracker(high_confidence=0.0, low_confidence=0.0, min_hits=1)
#: Names of objects of one camera; what comes after them is called ``object``. Code that writes numbers into its labels
#: makes names without end.
MOST_NAMES: Final = 1000
MOST_NOTES: Final = 32
LONGEST_NOTE: Final = 200


class PictureTap(Protocol):
    """Somebody who looks at the pictures as the code has left them."""

    @property
    def wanted(self) -> bool:
        """Whether anybody looks now."""
        ...

    def show(self, port: str, pictures: Sequence[OutputPicture]) -> None:
        """Show what was put; returns soon."""
        ...


@dataclass(slots=True)
class _Stream:
    """One output on one camera."""

    tracker: PipelineTracker
    last: FrameInfo | None = None


class OutputTracks:
    """Implements ``vedette.ports.panorama.OutputSink``.

    Code puts a picture once. One that it puts again, or after a later one, changes nothing any more: rules have judged
    it.

    Args:
        application: whose code it is.
        app_cameras: the device's camera → the application's name of it.
        fps: pictures a second, at most.
        journal: where batches go.
        make_tracker: makes the tracker of an output on a camera, going on where the journal ends.
        tap: who else looks.
        gap_reason: why nothing was put before; the first batch of each camera carries it.
    """

    def __init__(
        self,
        application: str,
        app_cameras: dict[str, str],
        fps: float,
        journal: JournalWriter,
        make_tracker: Callable[[PipelinePlan], PipelineTracker],
        tap: PictureTap | None = None,
        gap_reason: str = "",
    ) -> None:
        self._application = application
        self._app_cameras = app_cameras
        self._fps = fps
        self._journal = journal
        self._make_tracker = make_tracker
        self._tap = tap
        self._gap_reason = gap_reason
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, str], _Stream] = {}
        #: Pictures that became batches, and that came again or too late.
        self.taken = self.repeated = 0

    @property
    def pictures_wanted(self) -> bool:
        """Whether anybody looks at the pictures themselves."""
        return self._tap is not None and self._tap.wanted

    def put(self, port: str, pictures: Sequence[OutputPicture]) -> None:
        """Take pictures that the code has put on a port."""
        with self._lock:
            for picture in pictures:
                self._take(port, picture)
        if self._tap is not None and self._tap.wanted:
            self._tap.show(port, pictures)

    def _take(self, port: str, picture: OutputPicture) -> None:
        key = (port, picture.stream)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(self._make_tracker(self._plan(port, picture.stream)))
        info, last = picture.info, stream.last
        if last is not None and info.epoch == last.epoch and info.frame_no <= last.frame_no:
            self.repeated += 1
            return
        stream.last = info
        if last is None and self._gap_reason:
            picture = replace(picture, info=replace(info, gap_reason=self._gap_reason))
        self._journal.append(batch_of(picture, stream.tracker))
        self.taken += 1

    def _plan(self, port: str, camera: str) -> PipelinePlan:
        return PipelinePlan(
            application=self._application,
            pipeline=port,
            camera=camera,
            app_camera=self._app_cameras[camera],
            fps=self._fps,
            tracker=DRAWN_TRACKER,
        )


def batch_of(picture: OutputPicture, tracker: PipelineTracker) -> TrackBatch:
    """The track batch of one picture.

    Args:
        picture: with what was drawn.
        tracker: of its output and camera; learns new names.
    """
    info = picture.info
    drawn = objects_drawn(
        [(rect.left, rect.top, rect.right, rect.bottom) for rect in picture.rects],
        [(label.text, label.x, label.y) for label in picture.labels],
    )
    room = MOST_NAMES - len(tracker.labels)
    new = [name for name in dict.fromkeys((OBJECT, *drawn.names)) if name not in tracker.labels]
    tracker.know(new[: max(0, room)])
    index = {name: position for position, name in enumerate(tracker.labels)}
    scale = np.array([info.width, info.height] * 2, np.float32)
    detections = Detections(
        np.array(drawn.boxes, np.float32).reshape(-1, 4) * scale,
        np.array(drawn.scores, np.float32),
        np.array([index.get(name, index[OBJECT]) for name in drawn.names], np.int32),
        truncated=len(drawn.boxes) > MAX_OBJECTS,
    )
    notes = tuple(Note(text[:LONGEST_NOTE], x, y) for text, x, y in drawn.notes[:MOST_NOTES])
    return replace(tracker.track(info, detections), notes=notes)
