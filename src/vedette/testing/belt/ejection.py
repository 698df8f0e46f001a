"""Strokes of the ejector against the truth: which parts it pushed off the belt, and how exactly. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vedette.testing.belt.score import Passage

#: A stroke pushes the part whose middle is in front of the ejector within this time: the smallest part is in front of
#: it for 0.55 s.
REACH_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Ejected:
    """What became of the parts. Only those that count are in it, and that were at the ejector before the end.

    Attributes:
        pushed: defective parts pushed out.
        left: defective parts that stayed.
        wrongly: good parts pushed out.
        idle: strokes with no part in front of the ejector.
        errors_s: for each defective part pushed out, the stroke's time minus that of its middle.
    """

    pushed: int
    left: int
    wrongly: int
    idle: int
    errors_s: tuple[float, ...]

    def error_s(self, share: float) -> float:
        """The size of the timing error that at least this share of the strokes does not exceed; 0 without any."""
        ordered = sorted(abs(error) for error in self.errors_s)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def ejected(passed: Sequence[Passage], strokes: Iterable[float], end_s: float) -> Ejected:
    """Give every stroke to the part that was in front of the ejector.

    Args:
        passed: parts at the inspection line, see ``passages``.
        strokes: Unix times at which the ejector moved.
        end_s: Unix time at which the run ended; parts at the ejector after that, or just before, do not count.
    """
    at_ejector = [passage.line_s + passage.part.ejector_s - passage.part.line_s for passage in passed]
    hit: dict[int, float] = {}
    idle = 0
    for stroke in strokes:
        near = min(range(len(passed)), key=lambda index: abs(at_ejector[index] - stroke), default=None)
        if near is None or abs(at_ejector[near] - stroke) > REACH_S:
            idle += 1
        else:
            hit.setdefault(near, stroke - at_ejector[near])
    counted = [index for index, passage in enumerate(passed) if passage.counts and at_ejector[index] + REACH_S <= end_s]
    bad = [index for index in counted if passed[index].part.defective]
    return Ejected(
        pushed=sum(index in hit for index in bad),
        left=sum(index not in hit for index in bad),
        wrongly=sum(index in hit for index in counted if not passed[index].part.defective),
        idle=idle,
        errors_s=tuple(hit[index] for index in bad if index in hit),
    )
