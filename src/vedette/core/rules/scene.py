"""What a rule or an insight sees: a picture, the objects in it, and what may be kept of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.alert import Box
from vedette.contracts.frames import FrameInfo
from vedette.contracts.tracks import Attribute
from vedette.core import geometry
from vedette.core.rules.clock import Tick

#: Most objects a mark names.
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


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture as a rule or an insight sees it: only the objects it is about.

    Attributes:
        tick: the time.
        moment: the picture.
        objects: the objects.
        points: float64 (n, 2), their anchor points, normalised.
        armed: whether the schedule lets a rule alert at this moment.
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
