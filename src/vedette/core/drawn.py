"""Objects from what code drew: each rectangle one, named by the label that stands at it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vedette.core.labels import OBJECT

#: A label belongs to a rectangle that it lies in, or whose top left corner is this near, shares of the picture.
NEAR: Final = 0.06
#: Letters of a name; a label may be longer.
LONGEST_NAME: Final = 64
#: A confidence at the end of a label: ``person 0.87``, ``person: 87 %``, ``person (0.87)``. A whole number without a
#: percent sign is part of the name: ``lane 2``.
_CONFIDENCE: Final = re.compile(
    r"^(?P<name>.*?)(?:^|[\s:=,;|/_@(\[-]+)"
    r"(?:(?P<share>0?\.\d+|1\.0*|0\.0*)|(?P<cent>\d{1,3}(?:\.\d+)?)\s?%)[)\]\s]*$"
)

Corners = tuple[float, float, float, float]
Text = tuple[str, float, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a picture shows, by what was drawn.

    Attributes:
        boxes: ``left, top, right, bottom`` of each object, shares of width and height, left of right and top of bottom.
        names: of each object.
        scores: confidence of each object, as its label says it; 1 where it says none.
        notes: labels that belong to no rectangle.
    """

    boxes: tuple[Corners, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]
    notes: tuple[Text, ...]


def objects_drawn(rects: Sequence[Corners], labels: Sequence[Text]) -> Drawn:
    """Objects from rectangles and labels.

    Every rectangle has one label at most and every label one rectangle: the pair whose label is nearest to the top left
    corner first. A rectangle whose sides are swapped is taken as it is seen; one without area is none.

    Args:
        rects: ``left, top, right, bottom``, shares.
        labels: text and place, shares.
    """
    boxes = [box for box in map(_ordered, rects) if box[0] < box[2] and box[1] < box[3]]
    pairs = sorted(
        (distance, row, column)
        for row, box in enumerate(boxes)
        for column, (_, x, y) in enumerate(labels)
        if (distance := math.hypot(x - box[0], y - box[1])) <= NEAR or _inside(box, x, y)
    )
    label_of: dict[int, int] = {}
    taken: set[int] = set()
    for _, row, column in pairs:
        if row not in label_of and column not in taken:
            label_of[row] = column
            taken.add(column)
    named = [
        name_and_score(labels[label_of[row]][0]) if row in label_of else (OBJECT, 1.0) for row in range(len(boxes))
    ]
    return Drawn(
        boxes=tuple(boxes),
        names=tuple(name for name, _ in named),
        scores=tuple(score for _, score in named),
        notes=tuple(label for column, label in enumerate(labels) if column not in taken),
    )


def name_and_score(text: str) -> tuple[str, float]:
    """What a label calls an object, and how sure it says it is; 1 where it says nothing."""
    text = " ".join(text.split())
    found = _CONFIDENCE.match(text)
    score = 1.0
    if found is not None:
        said = float(found["share"]) if found["share"] else float(found["cent"]) / 100
        if said <= 1.0:
            text, score = found["name"], said
    return text[:LONGEST_NAME].strip() or OBJECT, score


def _ordered(rect: Corners) -> Corners:
    left, top, right, bottom = rect
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _inside(box: Corners, x: float, y: float) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]
