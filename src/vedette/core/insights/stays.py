"""Who stays in a zone, and whose stay has ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from vedette.core.rules.clock import SLACK_S
from vedette.core.rules.scene import Scene
from vedette.core.rules.visits import Visit, VisitBook

#: How long an object must be unseen to be gone, seconds: as long as a tracker keeps its number by default.
GONE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay that ended.

    Attributes:
        track_id: whose.
        seconds: from the first picture inside to the first one outside, or to the last one in which it was seen.
    """

    track_id: int
    seconds: float


class StayBook:
    """The visits to one zone, until they end; what a visit is, is as for rules.

    Outside for ``grace_s``, an object left in the first picture outside. Unseen for ``GONE_S``, it left in the last
    picture in which it was seen. Who was there before a gap and is not there after it has left at a time that nobody
    knows: of such a stay nothing is told.

    Args:
        grace_s: an object outside for less than this is still there.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s - SLACK_S
        self._book = VisitBook(grace_s)

    def see(self, scene: Scene, inside: list[bool]) -> list[Stay]:
        """Take in one picture; the stays that ended, in no particular order."""
        if scene.tick.gap_s:
            self._book.gap(scene.tick.gap_s)
        now_s = scene.tick.now_s
        ended: list[Stay] = []
        for sighting, is_inside in zip(scene.objects, inside, strict=True):
            self._end(sighting.track_id, now_s, ended)
            self._book.see(scene, sighting, is_inside)
        for track_id, visit in self._book.unseen(scene):
            if visit.owed_s:
                continue
            if visit.outside_s is not None:
                self._end(track_id, now_s, ended)
            elif now_s - visit.seen_s >= GONE_S - SLACK_S:
                self._book.end(track_id)
                ended.append(Stay(track_id, visit.seen_s - visit.since_s))
        self._book.tidy(now_s)
        return ended

    def end(self, track_id: int, now_s: float) -> Stay | None:
        """End an object's stay now, if it has one."""
        visit = self._book.visits.get(track_id)
        if visit is None:
            return None
        self._book.end(track_id)
        return Stay(track_id, now_s - visit.since_s)

    def present(self) -> Iterator[tuple[int, Visit]]:
        """Those inside, also who is hidden at the moment; nobody who vanished in a gap."""
        return (
            (key, visit) for key, visit in self._book.visits.items() if visit.outside_s is None and not visit.owed_s
        )

    def clear(self) -> None:
        """Forget everybody."""
        self._book.visits.clear()

    def dump(self) -> list[Any]:
        """Small JSON."""
        return self._book.dump()

    def load(self, state: list[Any]) -> None:
        """Go on from ``dump()``."""
        self._book.load(state)

    def _end(self, track_id: int, now_s: float, ended: list[Stay]) -> None:
        """End a stay whose object has been outside for long enough."""
        visit = self._book.visits.get(track_id)
        if visit is not None and visit.outside_s is not None and now_s - visit.outside_s >= self._grace_s:
            self._book.end(track_id)
            ended.append(Stay(track_id, visit.outside_s - visit.since_s))
