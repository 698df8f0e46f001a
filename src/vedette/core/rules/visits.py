"""Who is in a zone, since when: one record for each track that is, or just was, in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.alert import Box
from vedette.core.nms import iou
from vedette.core.rules.clock import FORGET_S, LEAST_GAP_S, SLACK_S
from vedette.core.rules.scene import Mark, Scene, Sighting

#: How long an object may be outside and still be on the same visit, where ``hold_s`` does not say, seconds.
GRACE_S: Final = 1.0
#: Most visits remembered for a rule.
MAX_VISITS: Final = 1024
#: A new number that appears on the last box of an object that is missed is that object under a new number.
SAME_OBJECT_OVERLAP: Final = 0.5
#: For how long an object is missed in that sense, seconds of analysed time: longer than the longest pause that is no
#: gap, by the pictures that a tracker takes to be sure. A process that was replaced within a second is such a pause.
RENUMBERED_S: Final = LEAST_GAP_S + 0.5


@dataclass(slots=True)
class Visit:
    """An object in the zone.

    Attributes:
        since_s: analysed time at which the visit began.
        seen_s: analysed time of the last sighting, inside or outside.
        outside_s: since when the object has been seen outside, or None while it is inside.
        owed_s: length of gaps since the last sighting; above 0: it vanished in a gap, or was missed before it.
        reported: whether the rule has said what it has to say about the visit.
        settled: whether the object has been in the zone for ``hold_s``.
        first: the picture in which it came in.
        last: the last picture in which it was inside.
        out: the picture in which it was first seen outside.
    """

    since_s: float
    seen_s: float
    outside_s: float | None
    owed_s: float
    reported: bool
    settled: bool
    first: Mark
    last: Mark
    out: Mark | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Missing:
    """Objects that a picture does not show, and how much the new ones in it overlap where they were last.

    Attributes:
        scene: the picture.
        track_ids: numbers of those that are missed, (m,).
        rows: number of a new object → its row.
        overlaps: float64 (n, m), 0..1.
    """

    scene: Scene
    track_ids: tuple[int, ...]
    rows: dict[int, int]
    overlaps: NDArray[np.float64]


class VisitBook:
    """The visits to one zone.

    Args:
        grace_s: an object outside for less than this is still on its visit.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s - SLACK_S
        self.visits: dict[int, Visit] = {}
        self._missing: _Missing | None = None

    def gap(self, gap_s: float) -> None:
        """Something was not analysed."""
        for visit in self.visits.values():
            visit.owed_s += gap_s

    def see(self, scene: Scene, sighting: Sighting, inside: bool) -> Visit | None:
        """Take in one object of a picture; its visit, or None where it is on none."""
        now_s = scene.tick.now_s
        visit = self.visits.pop(sighting.track_id, None)
        if visit is not None and visit.outside_s is not None and now_s - visit.outside_s >= self._grace_s:
            visit = None
        if visit is None:
            if not inside:
                return None
            visit = self._renumbered(scene, sighting)
        mark = scene.mark(sighting)
        if visit is None:
            visit = Visit(now_s, now_s, None, 0.0, False, False, mark, mark)
        elif inside:
            # Still there after the gap: it stayed, so the gap counts.
            visit.since_s -= visit.owed_s
            if not (visit.outside_s is None or visit.reported or visit.settled) and (
                now_s - visit.outside_s >= visit.outside_s - visit.since_s - SLACK_S
            ):
                # Away for as long as it had been here: that was a touch of the edge, the visit begins now.
                visit.since_s, visit.first = now_s, mark
            visit.outside_s, visit.out, visit.last = None, None, mark
        elif visit.outside_s is None:
            visit.outside_s, visit.out = now_s, mark
        visit.seen_s, visit.owed_s = now_s, 0.0
        # At the end: visits stand in the order of their last sighting.
        self.visits[sighting.track_id] = visit
        return visit

    def end(self, track_id: int) -> None:
        """Forget a visit."""
        self.visits.pop(track_id, None)

    def tidy(self, now_s: float) -> None:
        """Drop visits of objects unseen for long."""
        while self.visits:
            oldest = next(iter(self.visits))
            visit = self.visits[oldest]
            if len(self.visits) <= MAX_VISITS and now_s - visit.seen_s + visit.owed_s <= FORGET_S:
                break
            del self.visits[oldest]

    def unseen(self, scene: Scene) -> Iterator[tuple[int, Visit]]:
        """Visits of objects that are not in this picture (a copy, safe to end while iterating)."""
        present = {sighting.track_id for sighting in scene.objects}
        return iter([(key, visit) for key, visit in self.visits.items() if key not in present])

    def _renumbered(self, scene: Scene, sighting: Sighting) -> Visit | None:
        """The visit of the object that stood where this new number appears, if it is missed."""
        if self._missing is None or self._missing.scene is not scene:
            self._missing = self._missed_in(scene)
        missing = self._missing
        if not missing.track_ids:
            return None
        overlaps = missing.overlaps[missing.rows[sighting.track_id]]
        best = int(overlaps.argmax())
        if overlaps[best] < SAME_OBJECT_OVERLAP:
            return None
        missing.overlaps[:, best] = 0.0  # no second new number is the same object
        return replace(self.visits.pop(missing.track_ids[best]))

    def _missed_in(self, scene: Scene) -> _Missing:
        """Whom a picture misses; looked up once for all new numbers in it, of which a crowd may have hundreds."""
        now_s = scene.tick.now_s
        present = {other.track_id for other in scene.objects}
        missed = {
            key: visit.last.objects[0].box
            for key, visit in self.visits.items()
            if key not in present and visit.outside_s is None and now_s - visit.seen_s <= RENUMBERED_S + SLACK_S
        }
        boxes = [sighting.box for sighting in scene.objects]
        rows = {sighting.track_id: row for row, sighting in enumerate(scene.objects)}
        return _Missing(scene, tuple(missed), rows, iou(_boxes(boxes), _boxes(missed.values())))

    def dump(self) -> list[Any]:
        """Small JSON."""
        return [
            [
                track_id,
                visit.since_s,
                visit.seen_s,
                visit.outside_s,
                visit.owed_s,
                visit.reported,
                visit.settled,
                visit.first.dump(),
                visit.last.dump(),
                None if visit.out is None else visit.out.dump(),
            ]
            for track_id, visit in self.visits.items()
        ]

    def load(self, state: list[Any]) -> None:
        """Go on from ``dump()``."""
        self.visits = {
            int(track_id): Visit(
                float(since_s),
                float(seen_s),
                None if outside_s is None else float(outside_s),
                float(owed_s),
                bool(reported),
                bool(settled),
                Mark.load(first),
                Mark.load(last),
                None if out is None else Mark.load(out),
            )
            for track_id, since_s, seen_s, outside_s, owed_s, reported, settled, first, last, out in state
        }


def _boxes(boxes: Iterable[Box]) -> NDArray[np.float64]:
    return np.array([*boxes], np.float64).reshape(-1, 4)


def polygon_array(zone: tuple[tuple[float, float], ...] | None) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """A zone as float64 (k, 2)."""
    return None if zone is None else np.asarray(zone, np.float64)
