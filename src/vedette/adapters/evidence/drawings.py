"""What the code of an application drew, drawn again: over a picture in which nobody can be recognised any more."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Final

import cv2

from vedette.adapters.pictures.labels import INK, write_label
from vedette.contracts.tracks import TrackBatch
from vedette.ports.evidence import Picture

#: What was drawn on one picture stands in those after it for so long, where the code saw none of them, seconds.
HELD_S: Final = 0.5
_SLACK_S: Final = 1e-3


class Drawings:
    """What was drawn on the pictures of one camera.

    Args:
        batches: of the outputs of one application.
    """

    def __init__(self, batches: Sequence[TrackBatch]) -> None:
        self._batches = sorted(batches, key=lambda batch: (batch.frame.epoch, batch.frame.media_time_s))
        self._keys = [(batch.frame.epoch, batch.frame.media_time_s) for batch in self._batches]

    def __bool__(self) -> bool:
        """Whether anything was drawn."""
        return bool(self._batches)

    def at(self, epoch: str, media_time_s: float) -> TrackBatch | None:
        """What stands in a picture: what was drawn on it, or on the one before it a moment ago."""
        index = bisect.bisect_right(self._keys, (epoch, media_time_s + _SLACK_S)) - 1
        if index < 0:
            return None
        found = self._batches[index]
        recent = found.frame.epoch == epoch and media_time_s - found.frame.media_time_s <= HELD_S
        return found if recent else None

    def draw(self, picture: Picture, epoch: str, media_time_s: float) -> Picture:
        """The picture with what stands in it; drawn into it where it can be written to.

        Args:
            picture: uint8 (height, width, 3), blue, green, red.
            epoch: of its stream.
            media_time_s: its time.
        """
        batch = self.at(epoch, media_time_s)
        if batch is None:
            return picture
        canvas = picture if picture.flags.writeable else picture.copy()
        height, width = canvas.shape[:2]
        across, down = width / batch.frame.width, height / batch.frame.height
        for box, label in zip(batch.boxes, batch.labels, strict=True):
            first, last = (round(box[0] * across), round(box[1] * down)), (round(box[2] * across), round(box[3] * down))
            cv2.rectangle(canvas, first, last, INK, 1, cv2.LINE_AA)
            write_label(canvas, label, first)
        for note in batch.notes:
            write_label(canvas, note.text, (round(note.x * width), round(note.y * height)))
        return canvas


class Uncovered:
    """Implements ``vedette.ports.evidence.Masker`` where everything may be seen."""

    def cover(self, picture: Picture, media_time_s: float, epoch: str) -> Picture:  # noqa: ARG002 - the port's
        """The picture as it is."""
        return picture
