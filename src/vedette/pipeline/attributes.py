"""track → attributes: looks closely at parts of the objects that are followed, each object now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vedette.contracts.alert import Box
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import AttributeBase
from vedette.contracts.tracks import Attribute, TrackBatch
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.ports.detector import Observer

#: Looks at one picture, all attributes together; in a crowd the objects looked at longest ago come first.
MAX_LOOKS: Final = 16
#: A part of which less than this share is within the picture says nothing.
LEAST_VISIBLE: Final = 0.6
#: A box this near to the picture's edge is cut by it, as a share of the picture's side.
AT_EDGE: Final = 0.008
#: Objects whose last look is remembered, per attribute.
MAX_REMEMBERED: Final = 1024
#: An object is due again this share of the interval early: sampling is not even.
_EARLY: Final = 0.1


@dataclass(frozen=True, slots=True)
class AttributeStep:
    """One attribute of a pipeline.

    Attributes:
        name: as the manifest names it.
        settings: which objects, which part of them, how often.
        observer: looks at the part.
    """

    name: str
    settings: AttributeBase
    observer: Observer


class AttributeLook:
    """The attributes of one pipeline on one camera. Used by one thread at a time.

    A model that returns nothing usable costs its attribute, never the object.

    Attributes:
        problem: why an attribute could not be told in the last picture that asked for one; empty where it could.
    """

    def __init__(self, steps: Sequence[AttributeStep]) -> None:
        self._steps = tuple(steps)
        self._looked_s: list[dict[int, float]] = [{} for _ in self._steps]
        self.problem = ""

    def look(self, pixels: Pixels, batch: TrackBatch) -> tuple[tuple[Attribute, ...], ...]:
        """What this picture says of its objects, one tuple per object.

        Args:
            pixels: the whole picture.
            batch: the objects followed in it.
        """
        found: list[list[Attribute]] = [[] for _ in batch.track_ids]
        due = sorted(self._due(batch))[:MAX_LOOKS]
        problem = ""
        for _, step_no, row in due:
            step, looked_s = self._steps[step_no], self._looked_s[step_no]
            looked_s.pop(batch.track_ids[row], None)
            looked_s[batch.track_ids[row]] = batch.frame.t_s  # at the end: they stand in the order of their looks
            part = part_of(pixels, batch.boxes[row], step.settings)
            try:
                said = step.observer.observe(part) if part is not None else None
            except ModelError as error:
                problem = f"attribute {step.name}: {error}"
                continue
            if said is not None:
                found[row].append(Attribute(step.name, *said))
        if due:
            self.problem = problem
        for looked_s in self._looked_s:
            while len(looked_s) > MAX_REMEMBERED:
                del looked_s[next(iter(looked_s))]
        return tuple(tuple(each) for each in found)

    def _due(self, batch: TrackBatch) -> list[tuple[float, int, int]]:
        """(time of the last look, attribute, object) of everything that is due."""
        due = []
        for step_no, (step, looked_s) in enumerate(zip(self._steps, self._looked_s, strict=True)):
            labels, every_s = step.settings.labels, step.settings.every_s * (1.0 - _EARLY)
            for row, (track_id, label) in enumerate(zip(batch.track_ids, batch.labels, strict=True)):
                last_s = looked_s.get(track_id, float("-inf"))
                since_s = batch.frame.t_s - last_s
                # Time that went back is another stream: look again.
                if (labels is None or label in labels) and not 0.0 <= since_s < every_s:
                    due.append((last_s, step_no, row))
        return due


def part_of(pixels: Pixels, box: Box, settings: AttributeBase) -> Part | None:
    """The part of an object that an attribute is about; None where it is too small or mostly outside the picture.

    Also None where the attribute is about whole objects and the picture's edge cuts this one.

    Args:
        pixels: the whole picture.
        box: of the object, pixels of the picture.
        settings: which part, and the least size.
    """
    if settings.only_whole and _is_cut(pixels, box):
        return None
    width, height = box[2] - box[0], box[3] - box[1]
    x1, y1, x2, y2 = settings.crop
    wanted = (box[0] + x1 * width, box[1] + y1 * height, box[0] + x2 * width, box[1] + y2 * height)
    left, top = max(0, int(wanted[0]) // 2 * 2), max(0, int(wanted[1]) // 2 * 2)
    right, bottom = min(pixels.width, round(wanted[2])), min(pixels.height, round(wanted[3]))
    if min(right - left, bottom - top) < settings.min_size_px:
        return None
    area = (wanted[2] - wanted[0]) * (wanted[3] - wanted[1])
    if (right - left) * (bottom - top) < LEAST_VISIBLE * area:
        return None
    return Part(pixels.window(left, top, right - left, bottom - top), pixels, box, left, top)


def _is_cut(pixels: Pixels, box: Box) -> bool:
    """Whether a box reaches the edge of the picture."""
    margin_x, margin_y = AT_EDGE * pixels.width, AT_EDGE * pixels.height
    return (
        box[0] <= margin_x
        or box[1] <= margin_y
        or box[2] >= pixels.width - margin_x
        or box[3] >= pixels.height - margin_y
    )
