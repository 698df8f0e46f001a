"""What all rule machines share: the picture as they see it, events, state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.alert import Box, Direction
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import RuleBase
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import Attribute, TrackBatch
from vedette.core import geometry
from vedette.core.rules.clock import StreamClock, Tick
from vedette.core.rules.selection import Selection
from vedette.core.schedule import armed

#: A coordinate from here on is no place in a picture, pixels; NaN is none either.
FARTHEST_PX: Final = 1e6
#: Most objects an event names.
MAX_OBJECTS: Final = 256


@dataclass(frozen=True, slots=True)
class Moment:
    """The picture in which something happened; the fields are ``FrameInfo``'s."""

    epoch: str
    frame_no: int
    media_time_s: float
    wall_s: float

    @classmethod
    def of(cls, frame: FrameInfo) -> Moment:
        """The moment of a picture."""
        return cls(frame.epoch, frame.frame_no, frame.media_time_s, frame.wall_s)

    def dump(self) -> list[Any]:
        """Small JSON."""
        return [self.epoch, self.frame_no, self.media_time_s, self.wall_s]

    @classmethod
    def load(cls, state: list[Any]) -> Moment:
        """Read what ``dump`` wrote."""
        epoch, frame_no, media_time_s, wall_s = state
        return cls(str(epoch), int(frame_no), float(media_time_s), float(wall_s))


@dataclass(frozen=True, slots=True)
class Sighting:
    """One object in one picture; the box is in pixels of the original picture.

    ``attributes`` is what is known of it by all of its pictures so far: pairs of property and value.
    """

    track_id: int
    box: Box
    label: str
    score: float
    attributes: tuple[tuple[str, str], ...] = ()

    def dump(self) -> list[Any]:
        """Small JSON."""
        short = [self.track_id, list(self.box), self.label, self.score]
        return [*short, [list(pair) for pair in self.attributes]] if self.attributes else short

    @classmethod
    def load(cls, state: list[Any]) -> Sighting:
        """Read what ``dump`` wrote."""
        track_id, (x1, y1, x2, y2), label, score, *rest = state
        known = tuple((str(name), str(value)) for name, value in rest[0]) if rest else ()
        return cls(int(track_id), (float(x1), float(y1), float(x2), float(y2)), str(label), float(score), known)


@dataclass(frozen=True, slots=True)
class Mark:
    """A picture and the objects in it that matter, kept until it is decided whether they make an event."""

    moment: Moment
    objects: tuple[Sighting, ...]

    def dump(self) -> list[Any]:
        """Small JSON."""
        return [self.moment.dump(), [sighting.dump() for sighting in self.objects]]

    @classmethod
    def load(cls, state: list[Any]) -> Mark:
        """Read what ``dump`` wrote."""
        moment, objects = state
        return cls(Moment.load(moment), tuple(Sighting.load(entry) for entry in objects))


@dataclass(frozen=True, slots=True)
class Event:
    """Something a rule is about has happened.

    Attributes:
        moment: the picture in which it happened; for what takes time, the picture in which it had taken long enough.
        objects: what took part, as in that picture, at most ``MAX_OBJECTS``.
        count: where the rule counts.
        direction: where the rule is about a line.
        duration_s: how long the condition had held, where the rule is about time.
        distance_m: where the rule is about a distance.
    """

    moment: Moment
    objects: tuple[Sighting, ...]
    count: int | None = None
    direction: Direction | None = None
    duration_s: float | None = None
    distance_m: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture as a rule sees it: only the objects it is about.

    Attributes:
        tick: the time.
        moment: the picture.
        objects: the objects.
        points: float64 (n, 2), their anchor points, normalised.
        armed: whether the schedule lets the rule alert at this moment.
        observed: what this very picture says of each object.
        size: (width, height) of the picture, pixels.
    """

    tick: Tick
    moment: Moment
    objects: tuple[Sighting, ...]
    points: NDArray[np.float64]
    armed: bool
    observed: tuple[tuple[Attribute, ...], ...] = ()
    size: tuple[int, int] = (1, 1)

    def within(self, polygon: NDArray[np.float64] | None) -> list[bool]:
        """Which objects are in the zone; all where there is none."""
        if polygon is None or not self.objects:
            return [True] * len(self.objects)
        return [bool(value) for value in geometry.inside(self.points, polygon)]

    def mark(self, *objects: Sighting) -> Mark:
        """This picture and some of its objects."""
        return Mark(self.moment, objects[:MAX_OBJECTS])


class RuleMachine(ABC):
    """Judges one rule on one camera, batch by batch. No clock, no timer: batches drive everything.

    Fed with the same batches from the same state, it gives the same events. A batch that was judged before is left
    alone, so that feeding one twice is harmless.
    """

    def __init__(self, plan: RulePlan, rule: RuleBase) -> None:
        self.plan = plan
        self._anchor = rule.anchor
        self._schedule = rule.schedule
        self._hold_s = rule.hold_s
        self._clock = StreamClock(plan.fps)
        self._selection = self._select(rule)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the machine's first batch, gaps included."""
        return self._clock.elapsed_s

    def step(self, batch: TrackBatch) -> list[Event]:
        """Judge one batch; events in the order of their track numbers."""
        frame = batch.frame
        tick = self._clock.advance(frame)
        if tick is None:
            return []
        if tick.broken:
            self._selection.forget()
            self._forget()
        seen = batch.attributes or ((),) * len(batch.track_ids)
        chosen = [
            (Sighting(track_id, box, label, score, self._selection.known(track_id)), found)
            for track_id, box, label, score, found in zip(
                batch.track_ids, batch.boxes, batch.labels, batch.scores, seen, strict=True
            )
            if self._selection.admits(track_id, label, score, tick.now_s, found)
            and all(abs(value) < FARTHEST_PX for value in box)
        ]
        objects = tuple(sighting for sighting, _ in chosen)
        observed = tuple(found for _, found in chosen)
        self._selection.tidy(tick.now_s)
        points = geometry.anchors([sighting.box for sighting in objects], self._anchor, frame.width, frame.height)
        return self._judge(
            Scene(
                tick,
                Moment.of(frame),
                objects,
                points,
                armed(self._schedule, frame.wall_s),
                observed,
                (frame.width, frame.height),
            )
        )

    def state(self) -> dict[str, Any]:
        """All that the future depends on, as small JSON."""
        return {"clock": self._clock.state(), "selection": self._selection.state(), "rule": self._dump()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state()`` of a machine of the same rule.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is not such a state; start a fresh machine then.
        """
        self._clock.restore(state["clock"])
        self._selection.restore(state["selection"])
        self._load(state["rule"])

    def _select(self, rule: RuleBase) -> Selection:
        """Which objects the machine is shown."""
        return Selection(rule.labels, rule.min_confidence, rule.where)

    def _armed_at(self, moment: Moment) -> bool:
        return armed(self._schedule, moment.wall_s)

    @abstractmethod
    def _judge(self, scene: Scene) -> list[Event]: ...

    @abstractmethod
    def _forget(self) -> None: ...

    @abstractmethod
    def _dump(self) -> Any: ...

    @abstractmethod
    def _load(self, state: Any) -> None: ...
