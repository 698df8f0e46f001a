"""What is known of each track's attributes, by all of its pictures rather than by the newest one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from vedette.contracts.tracks import Attribute
from vedette.core.rules.clock import FORGET_S

#: What an observation leaves of the evidence before it: about seven observations are remembered.
KEPT: Final = 0.85
#: Evidence (summed confidence) a value needs before an object is said to have it: two fair observations.
NEEDED: Final = 1.0
#: A value replaces the one an object has once its evidence is this many times as strong.
STRONGER: Final = 1.5
#: Bounds of memory: tracks, attributes of a track, values of an attribute.
MAX_TRACKS: Final = 1024
MAX_ATTRIBUTES: Final = 16
MAX_VALUES: Final = 16


class AttributeBook:
    """Sums the observations of each track.

    An object has a value once the summed confidence of its observations has reached ``NEEDED`` and is ``STRONGER``
    times that of any other value; it keeps it until another one is. One odd picture changes nothing.
    """

    def __init__(self) -> None:
        self._tracks: dict[int, tuple[dict[str, dict[str, float]], dict[str, str], float]] = {}

    def see(self, track_id: int, found: Sequence[Attribute], now_s: float) -> None:
        """Take in what one picture says of one object."""
        if not found and track_id not in self._tracks:
            return  # most objects of most rules, in every picture
        evidence, held, _ = self._tracks.pop(track_id, ({}, {}, now_s))
        for each in found:
            if not math.isfinite(each.score) or (each.name not in evidence and len(evidence) >= MAX_ATTRIBUTES):
                continue
            sums = evidence.setdefault(each.name, {})
            for value in sums:
                sums[value] *= KEPT
            sums[each.value] = sums.get(each.value, 0.0) + min(max(each.score, 0.0), 1.0)
            if len(sums) > MAX_VALUES:
                del sums[min(sums, key=lambda value: (sums[value], value))]
            self._decide(each.name, sums, held)
        if evidence:
            # At the end: tracks stand in the order of their last sighting.
            self._tracks[track_id] = (evidence, held, now_s)

    def known(self, track_id: int) -> dict[str, str]:
        """Attributes an object is said to have."""
        entry = self._tracks.get(track_id)
        return {} if entry is None else entry[1]

    def evidence(self, track_id: int, name: str) -> dict[str, float]:
        """Value → summed confidence, for one attribute of one object."""
        entry = self._tracks.get(track_id)
        return {} if entry is None else entry[0].get(name, {})

    def tidy(self, now_s: float) -> None:
        """Drop tracks unseen for long."""
        while self._tracks:
            oldest = next(iter(self._tracks))
            if len(self._tracks) <= MAX_TRACKS and now_s - self._tracks[oldest][2] <= FORGET_S:
                break
            del self._tracks[oldest]

    def forget(self) -> None:
        """Drop all tracks."""
        self._tracks.clear()

    def state(self) -> list[Any]:
        """Small JSON."""
        return [
            [track_id, {name: dict(sums) for name, sums in evidence.items()}, dict(held), seen_s]
            for track_id, (evidence, held, seen_s) in self._tracks.items()
        ]

    def restore(self, state: list[Any]) -> None:
        """Go on from ``state()``."""
        self._tracks = {
            int(track_id): (
                {str(name): {str(v): float(s) for v, s in sums.items()} for name, sums in evidence.items()},
                {str(name): str(value) for name, value in held.items()},
                float(seen_s),
            )
            for track_id, evidence, held, seen_s in state
        }

    @staticmethod
    def _decide(name: str, sums: dict[str, float], held: dict[str, str]) -> None:
        best = max(sums, key=lambda value: (sums[value], value))
        others = max((total for value, total in sums.items() if value != best), default=0.0)
        if sums[best] >= NEEDED and sums[best] >= STRONGER * others:
            held[name] = best
