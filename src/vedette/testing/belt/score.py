"""Alerts against the truth: which defective part was reported, which was missed, what was reported for nothing.

Pure: times in, outcome out. The truth's times are laid onto the wall clock by the moments at which the simulator began
each repetition of the loop, which it publishes itself; the alerts have no part in that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from vedette.testing.belt.truth import BeltTruth, Part

#: An alert's picture may be this much before or after the moment at which the part is at the line, seconds. An alert
#: bears the time of the first analysed picture beyond the line; parts are more than a second apart.
EARLY_S: Final = 0.2
LATE_S: Final = 0.5
#: A part that is at the line less than this before the end of the run does not count: its alert is still on its way.
GRACE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Repetition:
    """When a repetition of the loop began: its number, and the Unix time of its first picture."""

    number: int
    wall_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """An alert: Unix time of its picture, the label in it, Unix time at which it arrived."""

    picture_s: float
    label: str
    seen_s: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A part at the inspection line.

    Attributes:
        part: which.
        line_s: Unix time.
        counts: whether all of its way through the picture was watched.
    """

    part: Part
    line_s: float
    counts: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run. Only passages that count are in it.

    Attributes:
        passed: all of them.
        caught: defective, with the first alert about each.
        missed: defective, without an alert.
        false: alerts about good parts, about nothing, and second ones about the same part.
        ignored: alerts about parts that do not count.
    """

    passed: tuple[Passage, ...]
    caught: tuple[tuple[Passage, Report], ...]
    missed: tuple[Passage, ...]
    false: tuple[tuple[Passage | None, Report], ...]
    ignored: int

    @property
    def defective(self) -> int:
        """Parts that had to be reported."""
        return len(self.caught) + len(self.missed)

    @property
    def recall(self) -> float:
        """Share of the defective parts that were reported; 1 where there was none."""
        return len(self.caught) / self.defective if self.defective else 1.0

    @property
    def precision(self) -> float:
        """Share of the alerts that were right; 1 where there was none."""
        total = len(self.caught) + len(self.false)
        return len(self.caught) / total if total else 1.0

    @property
    def named_right(self) -> int:
        """Reported parts whose defect was called by its name."""
        return sum(report.label == passage.part.label.value for passage, report in self.caught)

    @property
    def delays_s(self) -> tuple[float, ...]:
        """From the part at the line to the alert, in the order of the parts."""
        return tuple(report.seen_s - passage.line_s for passage, report in self.caught)

    @property
    def median_delay_s(self) -> float:
        """0 where nothing was caught."""
        return median(self.delays_s) if self.caught else 0.0

    @property
    def worst_delay_s(self) -> float:
        """0 where nothing was caught."""
        return max(self.delays_s, default=0.0)


def passages(truth: BeltTruth, repetitions: Iterable[Repetition], begin_s: float, end_s: float) -> tuple[Passage, ...]:
    """Every part at the line, in order.

    Args:
        truth: of the loop.
        repetitions: those that were played; the last word on each number counts.
        begin_s: Unix time of the first analysed picture. A part that was in the picture by then does not count.
        end_s: Unix time at which the run ended. A part at the line less than ``GRACE_S`` before does not count.
    """
    found = []
    for number, wall_s in sorted({entry.number: entry.wall_s for entry in repetitions}.items()):
        for part in truth.parts:
            line_s = wall_s + part.line_s
            counts = wall_s + part.enters_s >= begin_s and line_s + GRACE_S <= end_s
            found.append(Passage(part.repeated(number, truth.duration_s), line_s, counts))
    return tuple(sorted(found, key=lambda passage: passage.line_s))


def score(passed: Sequence[Passage], reports: Iterable[Report]) -> Outcome:
    """Give every alert to the part that was at the line at its time."""
    first: dict[int, Report] = {}
    false: list[tuple[Passage | None, Report]] = []
    ignored = 0
    for report in sorted(reports, key=lambda report: report.picture_s):
        index = _at_line(passed, report)
        passage = None if index is None else passed[index]
        if index is None or passage is None:
            false.append((None, report))
        elif not passage.counts:
            ignored += 1
        elif not passage.part.defective or index in first:
            false.append((passage, report))
        else:
            first[index] = report
    counted = [(index, passage) for index, passage in enumerate(passed) if passage.counts]
    return Outcome(
        passed=tuple(passage for _, passage in counted),
        caught=tuple((passed[index], first[index]) for index in sorted(first)),
        missed=tuple(passage for index, passage in counted if passage.part.defective and index not in first),
        false=tuple(false),
        ignored=ignored,
    )


def _at_line(passed: Sequence[Passage], report: Report) -> int | None:
    """The part that was nearest to the line when the alert's picture was taken, and near enough."""
    near = [
        (abs(report.picture_s - passage.line_s), index)
        for index, passage in enumerate(passed)
        if -EARLY_S <= report.picture_s - passage.line_s <= LATE_S
    ]
    return min(near)[1] if near else None
