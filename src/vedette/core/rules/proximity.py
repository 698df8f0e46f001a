"""An object is nearer to another one than a distance on the ground; once each time they come so near."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.alert import Box
from vedette.contracts.manifest import Proximity
from vedette.contracts.plan import RulePlan
from vedette.core.ground import Ground, distances_to_segments
from vedette.core.rules.base import Event, RuleMachine, Scene, Sighting
from vedette.core.rules.clock import FORGET_S, SLACK_S
from vedette.core.rules.selection import Selection

#: A speed is that of the way covered in about this time; less than half of it says nothing, seconds.
SPEED_S: Final = 1.0
#: Two objects that were reported are apart once they have been this many times as far from each other as asked for...
APART: Final = 1.2
#: ... for so long, seconds (``hold_s`` where it is given).
APART_S: Final = 1.0
#: Bounds of memory.
MAX_TRACKS: Final = 512
MAX_PAIRS: Final = 1024
_MAX_PLACES: Final = 64


@dataclass(slots=True)
class Pair:
    """Two objects that are, or just were, near each other.

    Attributes:
        since_s: analysed time since which they have been near, or None while they are not.
        near_s: analysed time at which they were near last.
        reported: whether it was reported.
    """

    since_s: float | None
    near_s: float
    reported: bool = False


class ProximityMachine(RuleMachine):
    """Reports two objects in the picture in which they have been near each other for ``for_s``.

    The one is where its anchor point is; the other is as wide as the lower edge of its box, so a lorry is near along
    its whole side. Where a speed is asked for, the other must have it while they are near; one that stops and starts
    again beside the same object is not near anew. Objects at or above the horizon are nowhere.
    """

    def __init__(self, plan: RulePlan, rule: Proximity) -> None:
        super().__init__(plan, rule)
        self._rule = rule
        self._ground = None if plan.ground is None else Ground(plan.ground)
        self._labels = None if rule.labels is None else frozenset(rule.labels)
        self._to = None if rule.to is None else frozenset(rule.to)
        self._for_s = rule.for_s - SLACK_S
        self._apart_s = (rule.hold_s or APART_S) - SLACK_S
        self._ways: dict[int, deque[tuple[float, float, float]]] = {}
        self._pairs: dict[tuple[int, int], Pair] = {}

    def _select(self, rule: Any) -> Selection:
        """Both kinds of objects; what else the rule asks of the first is looked at pair by pair."""
        both = None if rule.labels is None or rule.to is None else {*rule.labels, *rule.to}
        return Selection(both, rule.min_confidence)

    def _judge(self, scene: Scene) -> list[Event]:
        now_s = scene.tick.now_s
        if scene.tick.gap_s:
            self._ways.clear()
            for pair in self._pairs.values():
                pair.since_s = None if not pair.reported else pair.since_s
        events: list[Event] = []
        if self._ground is not None and scene.objects:
            edges = self._edges(scene, self._ground)
            self._follow(scene, edges.mean(axis=1), now_s)
            for row, column, distance_m in self._candidates(scene, self._ground.metres(scene.points), edges):
                events += self._near(scene, scene.objects[row], scene.objects[column], distance_m)
        self._tidy(now_s)
        return events

    def _candidates(
        self, scene: Scene, places: NDArray[np.float64], edges: NDArray[np.float64]
    ) -> list[tuple[int, int, float]]:
        """Pairs that are near, or were until now: rows of the two objects, and their distance in metres."""
        firsts = np.array([row for row, one in enumerate(scene.objects) if self._is_first(one)], np.intp)
        others = np.array([row for row, one in enumerate(scene.objects) if self._is_other(one)], np.intp)
        if not len(firsts) or not len(others):
            return []
        distances = distances_to_segments(places[firsts], edges[others])
        close = distances < APART * self._rule.within_m  # false where one of them is nowhere
        row_of = {scene.objects[row].track_id: index for index, row in enumerate(firsts.tolist())}
        column_of = {scene.objects[row].track_id: index for index, row in enumerate(others.tolist())}
        for one, other in self._pairs:
            if one in row_of and other in column_of:
                place = row_of[one], column_of[other]
                close[place] = bool(np.isfinite(distances[place]))
        rows, columns = np.nonzero(close & (firsts[:, None] != others[None, :]))
        return [
            (int(firsts[row]), int(others[column]), float(distances[row, column]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]

    def _near(self, scene: Scene, one: Sighting, other: Sighting, distance_m: float) -> list[Event]:
        """Take in how far apart two objects are."""
        now_s, key = scene.tick.now_s, (one.track_id, other.track_id)
        pair = self._pairs.get(key)
        near = distance_m < self._rule.within_m and self._speed(other.track_id) >= self._rule.min_speed_mps
        if not near:
            if pair is not None and pair.reported and distance_m < APART * self._rule.within_m:
                pair.near_s = now_s
            elif pair is not None:
                pair.since_s = None
                if now_s - pair.near_s >= self._apart_s:
                    del self._pairs[key]
            return []
        if pair is None:
            pair = Pair(now_s, now_s)
        elif pair.since_s is None and not pair.reported:
            pair.since_s = now_s
        self._pairs.pop(key, None)
        self._pairs[key] = pair  # at the end: they stand in the order of their last nearness
        pair.near_s = now_s
        since_s = now_s if pair.since_s is None else pair.since_s
        if pair.reported or not scene.armed or now_s - since_s < self._for_s:
            return []
        pair.reported = True
        return [Event(scene.moment, (one, other), duration_s=now_s - since_s, distance_m=distance_m)]

    def _is_first(self, sighting: Sighting) -> bool:
        if self._labels is not None and sighting.label not in self._labels:
            return False
        known = dict(sighting.attributes)
        return all(known.get(name) in values for name, values in (self._rule.where or {}).items())

    def _is_other(self, sighting: Sighting) -> bool:
        if self._to is not None:
            return sighting.label in self._to
        return self._labels is None or sighting.label not in self._labels

    @staticmethod
    def _edges(scene: Scene, ground: Ground) -> NDArray[np.float64]:
        """The lower edge of each object's box on the ground, float64 (n, 2, 2), metres."""
        boxes: list[Box] = [sighting.box for sighting in scene.objects]
        corners = np.array([((x1, y2), (x2, y2)) for x1, _, x2, y2 in boxes], np.float64)
        return ground.metres((corners / scene.size).reshape(-1, 2)).reshape(-1, 2, 2)

    def _follow(self, scene: Scene, middles: NDArray[np.float64], now_s: float) -> None:
        for sighting, (x, y) in zip(scene.objects, middles.tolist(), strict=True):
            way = self._ways.pop(sighting.track_id, None) or deque(maxlen=_MAX_PLACES)
            if math.isfinite(x) and math.isfinite(y):
                way.append((now_s, x, y))
            while len(way) > 2 and now_s - way[1][0] >= SPEED_S:
                way.popleft()
            self._ways[sighting.track_id] = way

    def _speed(self, track_id: int) -> float:
        """Metres a second over about the last second; 0 where that cannot be said yet."""
        way = self._ways.get(track_id)
        if not way or way[-1][0] - way[0][0] < SPEED_S / 2:
            return 0.0
        (from_s, x1, y1), (to_s, x2, y2) = way[0], way[-1]
        return math.hypot(x2 - x1, y2 - y1) / (to_s - from_s)

    def _tidy(self, now_s: float) -> None:
        while self._ways:
            oldest = next(iter(self._ways))
            way = self._ways[oldest]
            if len(self._ways) <= MAX_TRACKS and way and now_s - way[-1][0] <= FORGET_S:
                break
            del self._ways[oldest]
        while self._pairs:
            key = next(iter(self._pairs))
            if len(self._pairs) <= MAX_PAIRS and now_s - self._pairs[key].near_s <= FORGET_S:
                break
            del self._pairs[key]

    def _forget(self) -> None:
        self._ways.clear()
        self._pairs.clear()

    def _dump(self) -> Any:
        ways = [[number, list(map(list, way))] for number, way in self._ways.items()]
        pairs = [[one, other, p.since_s, p.near_s, p.reported] for (one, other), p in self._pairs.items()]
        return [ways, pairs]

    def _load(self, state: Any) -> None:
        ways, pairs = state
        self._ways = {
            int(number): deque(((float(t), float(x), float(y)) for t, x, y in way), maxlen=_MAX_PLACES)
            for number, way in ways
        }
        self._pairs = {
            (int(one), int(other)): Pair(None if since_s is None else float(since_s), float(near_s), bool(reported))
            for one, other, since_s, near_s, reported in pairs
        }
