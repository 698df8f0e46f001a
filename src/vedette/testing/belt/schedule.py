"""Which part comes when, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vedette.testing.belt.settings import DEFECTS, HEIGHT_PX, PHASES, RAIL_PX, WIDTH_PX, BeltSettings, Kind, Label
from vedette.testing.belt.shapes import BRACKET_HOLES, REACH_PX

#: Room between a part and the rails, pixels.
_SIDE_PX: Final = 3.0
#: How much larger or smaller than its drawing a part may look.
_SIZE_SPREAD: Final = 0.02
_STREAM: Final = 1


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part on the belt.

    Attributes:
        number: counts from 1, in the order of their passing.
        kind: what it is.
        label: what is right or wrong with it.
        start_px: column of its centre at the start of the loop (it has not come in yet: below 0).
        y_px: row of its centre.
        angle: how far it is turned, radians, clockwise as seen.
        size: scale of its drawing.
        missing: number of the hole that was not bored; None where all were.
        seed: for the details of its surface.
    """

    number: int
    kind: Kind
    label: Label
    start_px: float
    y_px: float
    angle: float
    size: float
    missing: int | None
    seed: int


def make_schedule(settings: BeltSettings) -> tuple[PlannedPart, ...]:
    """All parts of a loop.

    No two parts overlap or share a column. The belt is empty at the start and at the end of a loop, and the last part
    has reached the ejector by then, so that everything about a part happens within one repetition.

    Raises:
        ValueError: the loop is too short for a single part.
    """
    random = np.random.default_rng([settings.seed, _STREAM])
    starts = _starts(settings, random)
    labels = _labels(len(starts), settings.defective, random)
    parts = []
    for number, (start_px, label) in enumerate(zip(starts, labels, strict=True), 1):
        others = [kind for kind in Kind if kind is not settings.kind]
        kind = others[int(random.integers(len(others)))] if label is Label.WRONG_PART else settings.kind
        reach = REACH_PX * (1 + _SIZE_SPREAD) + _SIDE_PX
        parts.append(
            PlannedPart(
                number=number,
                kind=kind,
                label=label,
                start_px=start_px,
                y_px=float(round(random.uniform(RAIL_PX + reach, HEIGHT_PX - RAIL_PX - reach))),
                angle=float(random.uniform(0, 2 * np.pi)),
                size=float(1 + random.uniform(-_SIZE_SPREAD, _SIZE_SPREAD)),
                missing=int(random.integers(len(BRACKET_HOLES))) if label is Label.MISSING_HOLE else None,
                seed=int(random.integers(2**31)),
            )
        )
    return tuple(parts)


def _starts(settings: BeltSettings, random: np.random.Generator) -> list[float]:
    """Columns of the centres at the start, the first part first; on the grid of the prepared strips."""
    reach = REACH_PX * (1 + _SIZE_SPREAD)
    least = max(settings.gap_px[0], 2 * reach)
    start_px = -(reach + random.uniform(1.0, settings.gap_px[0] / 2))
    last_px = max(WIDTH_PX + reach, settings.ejector_px) + 1.0 - settings.loop_px
    starts = []
    while start_px >= last_px:
        starts.append(float(round(start_px * PHASES) / PHASES))
        start_px -= least + random.uniform(0.25, max(0.25, settings.gap_px[1] - least))
    if not starts:
        raise ValueError(f"a loop of {settings.duration_s} s is too short for a part to pass")
    return starts


def _labels(count: int, defective: float, random: np.random.Generator) -> list[Label]:
    """Every kind of defect as often as any other, in random order."""
    bad = min(count, round(count * defective))
    turn = [DEFECTS[int(index)] for index in random.permutation(len(DEFECTS))]
    labels = [turn[index % len(turn)] for index in range(bad)] + [Label.GOOD] * (count - bad)
    return [labels[int(index)] for index in random.permutation(count)]
