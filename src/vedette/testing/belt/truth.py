"""What really passes: every part with its times and its box at any time, as values and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from vedette.testing.belt.schedule import make_schedule
from vedette.testing.belt.settings import WIDTH_PX, BeltSettings, Kind, Label
from vedette.testing.belt.shapes import outline

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of one repetition of the loop. Times are seconds since the first repetition began.

    Attributes:
        number: counts from 1 within a loop.
        repetition: of the loop, from 0.
        kind: what it is.
        label: what is right or wrong with it.
        enters_s: its front comes into the picture.
        whole_s: all of it is in the picture.
        line_s: its box's centre is at the inspection line.
        leaves_s: its front leaves the picture.
        gone_s: the last of it has left the picture.
        ejector_s: its box's centre is at the ejector.
        speed_px_s: how fast it moves to the right.
        box: left, top, right, bottom at time 0 (far to the left of the picture), pixels.
    """

    number: int
    repetition: int
    kind: Kind
    label: Label
    enters_s: float
    whole_s: float
    line_s: float
    leaves_s: float
    gone_s: float
    ejector_s: float
    speed_px_s: float
    box: Box

    @property
    def defective(self) -> bool:
        """Whether it must be reported."""
        return self.label is not Label.GOOD

    def box_at(self, t_s: float) -> Box | None:
        """Its box at a time, left, top, right, bottom, cut to the picture; None while it is outside."""
        way = self.speed_px_s * t_s
        left, top, right, bottom = self.box
        left, right = max(0.0, left + way), min(float(WIDTH_PX), right + way)
        return (left, top, right, bottom) if right > left else None

    def time_at(self, x_px: float) -> float:
        """When its box's centre is at column ``x_px``."""
        return (x_px - (self.box[0] + self.box[2]) / 2) / self.speed_px_s

    def repeated(self, repetition: int, duration_s: float) -> Part:
        """The same part in another repetition of the loop."""
        by_s = (repetition - self.repetition) * duration_s
        way = self.speed_px_s * by_s
        left, top, right, bottom = self.box
        return replace(
            self,
            repetition=repetition,
            enters_s=self.enters_s + by_s,
            whole_s=self.whole_s + by_s,
            line_s=self.line_s + by_s,
            leaves_s=self.leaves_s + by_s,
            gone_s=self.gone_s + by_s,
            ejector_s=self.ejector_s + by_s,
            box=(left - way, top, right - way, bottom),
        )


@dataclass(frozen=True, slots=True)
class BeltTruth:
    """All parts of a loop.

    Attributes:
        duration_s: length of the loop.
        parts: in the order of their passing, repetition 0.
    """

    duration_s: float
    parts: tuple[Part, ...]

    def repetition(self, number: int) -> tuple[Part, ...]:
        """The parts of a repetition: those of the first, shifted by ``number`` durations."""
        return tuple(part.repeated(number, self.duration_s) for part in self.parts)

    def lines(self) -> Iterator[str]:
        """JSON, a line with the loop's length and then one for each part; see ``read_truth``."""
        yield json.dumps({"duration_s": self.duration_s, "parts": len(self.parts)})
        for part in self.parts:
            yield json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(part).items()})


def make_truth(settings: BeltSettings) -> BeltTruth:
    """The truth about a loop; nothing has to be rendered for it."""
    speed = settings.speed_px_s
    parts = []
    for plan in make_schedule(settings):
        edge = outline(plan.kind, plan.angle, plan.size)
        left, top = edge.min(axis=0)
        right, bottom = edge.max(axis=0)
        box = (
            float(plan.start_px + left),
            float(plan.y_px + top),
            float(plan.start_px + right),
            float(plan.y_px + bottom),
        )
        middle = (box[0] + box[2]) / 2
        parts.append(
            Part(
                number=plan.number,
                repetition=0,
                kind=plan.kind,
                label=plan.label,
                enters_s=-box[2] / speed,
                whole_s=-box[0] / speed,
                line_s=(settings.line_px - middle) / speed,
                leaves_s=(WIDTH_PX - box[2]) / speed,
                gone_s=(WIDTH_PX - box[0]) / speed,
                ejector_s=(settings.ejector_px - middle) / speed,
                speed_px_s=speed,
                box=box,
            )
        )
    return BeltTruth(float(settings.duration_s), tuple(parts))


def read_truth(lines: Iterable[str]) -> BeltTruth:
    """What ``BeltTruth.lines`` wrote.

    Raises:
        ValueError: these are not such lines, or some are missing.
    """
    try:
        head, *rest = [json.loads(line) for line in lines]
        parts = tuple(_part(entry) for entry in rest)
        if head["parts"] != len(parts):
            raise ValueError(f"{head['parts']} parts are announced, {len(parts)} listed")
        return BeltTruth(float(head["duration_s"]), parts)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a belt's truth: {error}") from error


def _part(entry: dict[str, Any]) -> Part:
    left, top, right, bottom = entry["box"]
    return Part(
        **{**entry, "kind": Kind(entry["kind"]), "label": Label(entry["label"]), "box": (left, top, right, bottom)}
    )
