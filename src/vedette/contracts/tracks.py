"""A track batch: what inference saw in one picture, as it stands in the journal.

The journal holds one JSON object per analysed picture and pipeline. Field names are short where they repeat per
object, because the journal is written many times a second.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from vedette.contracts.errors import StorageError
from vedette.contracts.frames import FrameInfo

TRACK_BATCH_VERSION: Final = 1
#: Attribute that holds what a reading detector read at an object.
TEXT: Final = "text"


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one picture says of one property of an object.

    Attributes:
        name: of the property, as the pipeline names it.
        value: such as ``yes``, ``no``, or the text of a code.
        score: confidence, 0..1.
    """

    name: str
    value: str
    score: float


@dataclass(frozen=True, slots=True)
class Note:
    """A text that an application's code wrote into a picture and that belongs to no object.

    Attributes:
        text: what it wrote.
        x: where it begins, share of the picture's width.
        y: where it stands, share of the picture's height.
    """

    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class TrackBatch:
    """All confirmed objects of one picture.

    Attributes:
        pipeline: ``<application>/<pipeline>``.
        frame: the picture.
        track_ids: one per object; unique per camera and pipeline, never reused.
        boxes: one ``(x1, y1, x2, y2)`` per object, pixels of the original picture, x right, y down.
        labels: one class label per object.
        scores: one confidence per object, 0..1.
        analysed_wall_s: Unix time at which the analysis of the picture ended.
        truncated: whether objects were left out because there were too many.
        spared: whether the model did not look at this picture because nothing had moved: the objects are those of the
            last one that it looked at.
        attributes: what was found out about each object in this picture, one tuple per object; or empty where
            nothing was asked about any.
        next_track_id: the number the next new object would have got; 0 where unknown. A restarted tracker goes on
            from it, so that numbers are not given twice.
        notes: what else code wrote into the picture.
    """

    pipeline: str
    frame: FrameInfo
    track_ids: tuple[int, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    analysed_wall_s: float = 0.0
    truncated: bool = False
    spared: bool = False
    next_track_id: int = 0
    attributes: tuple[tuple[Attribute, ...], ...] = ()
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        lengths = {len(self.track_ids), len(self.boxes), len(self.labels), len(self.scores)}
        if len(lengths) != 1:
            raise ValueError(
                f"track batch columns differ in length: {len(self.track_ids)} ids, {len(self.boxes)} boxes, "
                f"{len(self.labels)} labels, {len(self.scores)} scores"
            )
        if self.attributes and len(self.attributes) != len(self.track_ids):
            raise ValueError(f"{len(self.track_ids)} objects have {len(self.attributes)} sets of attributes")

    def to_json(self) -> bytes:
        """The batch as one line of compact JSON, boxes to 0.1 pixel, scores to 0.001."""
        document: dict[str, Any] = {
            "v": TRACK_BATCH_VERSION,
            "pipeline": self.pipeline,
            "frame": {name: value for name, value in asdict(self.frame).items() if name != "still_s" or value},
            "ids": self.track_ids,
            "boxes": [[round(value, 1) for value in box] for box in self.boxes],
            "labels": self.labels,
            "scores": [round(score, 3) for score in self.scores],
            "at": self.analysed_wall_s,
        }
        if self.truncated:
            document["truncated"] = True
        if self.spared:
            document["spared"] = True
        if self.next_track_id:
            document["next"] = self.next_track_id
        if any(self.attributes):
            document["attributes"] = [
                [[found.name, found.value, round(found.score, 3)] for found in each] for each in self.attributes
            ]
        if self.notes:
            document["notes"] = [[note.text, round(note.x, 4), round(note.y, 4)] for note in self.notes]
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, payload: bytes) -> TrackBatch:
        """Read what ``to_json`` wrote.

        Raises:
            StorageError: V402, the row is not a track batch of a version this release reads.
        """
        try:
            document = json.loads(payload)
            if document["v"] != TRACK_BATCH_VERSION:
                raise StorageError(
                    f"journal row has version {document['v']!r}; this release reads version {TRACK_BATCH_VERSION}.",
                    code="V402",
                )
            return cls(
                pipeline=document["pipeline"],
                frame=FrameInfo(**document["frame"]),
                track_ids=tuple(document["ids"]),
                boxes=tuple((b[0], b[1], b[2], b[3]) for b in document["boxes"]),
                labels=tuple(document["labels"]),
                scores=tuple(document["scores"]),
                analysed_wall_s=document["at"],
                truncated=document.get("truncated", False),
                spared=document.get("spared", False),
                next_track_id=document.get("next", 0),
                attributes=tuple(
                    tuple(Attribute(name, value, score) for name, value, score in each)
                    for each in document.get("attributes", ())
                ),
                notes=tuple(Note(text, x, y) for text, x, y in document.get("notes", ())),
            )
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise StorageError(f"journal row is not a track batch: {error}", code="V402") from error
