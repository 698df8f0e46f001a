"""What a run with faults should have reported: visits of known time, and which of them a fault may have hidden."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Visit:
    """An object that stands before a camera from ``begin_s`` to ``end_s``, Unix seconds."""

    camera: str
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Blind:
    """A span of Unix time in which a camera may have seen nothing, or something twice."""

    camera: str
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Seen:
    """An alert as a receiver has it; ``time_s`` is Unix time of the event."""

    alert_id: str
    camera: str
    rule: str
    time_s: float


@dataclass(frozen=True)
class Tally:
    """What came of it.

    Attributes:
        expected: one for each rule and each visit that no fault of its camera touched.
        undecided: the same for visits that one touched: they may be reported or not, and count for nothing.
        received: of the expected ones, those that were reported at least once.
        lost: those that were not.
        duplicated: reports of an expected one beyond the first.
        uncaused: reports at a time at which nothing stood before the camera.
    """

    expected: int
    undecided: int
    received: int
    lost: tuple[tuple[str, Visit], ...]
    duplicated: tuple[Seen, ...]
    uncaused: tuple[Seen, ...]


def visits_of(camera: str, starts_s: Sequence[float], stays: Sequence[tuple[float, float]]) -> list[Visit]:
    """Visits of a recording that began anew at each of ``starts_s`` (Unix seconds), in their order.

    A start cuts off what the recording before it had left.
    """
    ordered = sorted(set(starts_s))
    found: list[Visit] = []
    for start_s, next_s in zip(ordered, [*ordered[1:], float("inf")], strict=True):
        for begin_s, end_s in stays:
            if start_s + begin_s < next_s:
                found.append(Visit(camera, start_s + begin_s, min(start_s + end_s, next_s)))
    return found


def tally(
    visits: Iterable[Visit], blind: Iterable[Blind], alerts: Iterable[Seen], rules: Sequence[str], slack_s: float
) -> Tally:
    """Match alerts with visits.

    Args:
        visits: all that were whole within the run; visits of one camera are more than ``2 * slack_s`` apart.
        blind: when each camera may have been blind.
        alerts: as one receiver has them, once for each ``alert_id``.
        rules: each reports each visit once.
        slack_s: how far before and after its visit an alert may be dated; alerts outside all visits are uncaused
            unless their camera was blind.
    """
    by_camera: dict[str, list[Visit]] = {}
    for visit in sorted(visits, key=lambda v: v.begin_s):
        by_camera.setdefault(visit.camera, []).append(visit)
    spans = list(blind)

    def hidden(camera: str, begin_s: float, end_s: float) -> bool:
        return any(b.camera == camera and b.begin_s <= end_s and b.end_s >= begin_s for b in spans)

    reports: dict[tuple[str, Visit], list[Seen]] = {}
    uncaused: list[Seen] = []
    for alert in alerts:
        mine = by_camera.get(alert.camera, [])
        if not mine or alert.time_s < mine[0].begin_s - slack_s or alert.time_s > mine[-1].end_s + slack_s:
            continue  # before the first or after the last visit that counts
        at = bisect.bisect_right(mine, alert.time_s + slack_s, key=lambda v: v.begin_s) - 1
        if at >= 0 and alert.time_s <= mine[at].end_s + slack_s:
            reports.setdefault((alert.rule, mine[at]), []).append(alert)
        elif not hidden(alert.camera, alert.time_s - slack_s, alert.time_s + slack_s):
            uncaused.append(alert)
    expected = undecided = received = 0
    lost: list[tuple[str, Visit]] = []
    duplicated: list[Seen] = []
    for camera, mine in by_camera.items():
        for visit in mine:
            if hidden(camera, visit.begin_s - slack_s, visit.end_s + slack_s):
                undecided += len(rules)
                continue
            for rule in rules:
                expected += 1
                found = reports.get((rule, visit), [])
                received += bool(found)
                duplicated += found[1:]
                if not found:
                    lost.append((rule, visit))
    return Tally(expected, undecided, received, tuple(lost), tuple(duplicated), tuple(uncaused))


def missing(written: Sequence[str], taken: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int]]:
    """For each receiver: how many of the ``written`` alerts it has not, and how many it has more than once."""
    told = {}
    for name, ids in taken.items():
        counts = Counter(ids)
        told[name] = (sum(1 for alert_id in written if alert_id not in counts), sum(n - 1 for n in counts.values()))
    return told
