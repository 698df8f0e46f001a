"""The places an application speaks of in the picture of one of its cameras: regions, zones, lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from vedette.contracts.base import Point
from vedette.contracts.manifest import Manifest


class PlaceKind(StrEnum):
    """What a place is for."""

    RULE = "rule"
    INSIGHT = "insight"
    REGION = "region"
    MASK = "mask"
    GROUND = "ground"


@dataclass(frozen=True, slots=True)
class Place:
    """One place.

    Attributes:
        kind: what it is for.
        title: name of the rule, insight or pipeline, and what it says.
        points: normalised; two of them are a line, more a polygon.
        direction: (dx, dy) of the way over a line that counts, of length 1 in normalised units; None for both ways
            and for polygons.
    """

    kind: PlaceKind
    title: str
    points: tuple[Point, ...]
    direction: Point | None = None

    @property
    def is_line(self) -> bool:
        """Whether it is a line, not an area."""
        return len(self.points) == 2


_WAYS: dict[str, Point] = {
    "left_to_right": (1.0, 0.0),
    "right_to_left": (-1.0, 0.0),
    "top_to_bottom": (0.0, 1.0),
    "bottom_to_top": (0.0, -1.0),
}


def places_of(manifest: Manifest, camera: str) -> tuple[Place, ...]:
    """Everything the application says about the camera's picture, what is underneath first."""
    return (*_ground(manifest, camera), *_views(manifest, camera), *_watched(manifest, camera))


def _ground(manifest: Manifest, camera: str) -> Iterator[Place]:
    ground = manifest.cameras[camera].ground
    if ground is not None:
        yield Place(PlaceKind.GROUND, "ground, by four points", ground.picture)


def _views(manifest: Manifest, camera: str) -> Iterator[Place]:
    for name, pipeline in manifest.pipelines.items():
        if camera not in pipeline.cameras:
            continue
        if pipeline.region is not None:
            yield Place(PlaceKind.REGION, f"{name}: region", pipeline.region)
        for mask in pipeline.masks:
            yield Place(PlaceKind.MASK, f"{name}: mask", mask)


def _watched(manifest: Manifest, camera: str) -> Iterator[Place]:
    sections = ((PlaceKind.INSIGHT, manifest.insights), (PlaceKind.RULE, manifest.rules))
    for kind, entries in sections:
        for name, entry in entries.items():
            if camera not in manifest.rule_cameras(entry):
                continue
            title = f"{name}: {entry.type.replace('_', ' ')}"
            line, zone = getattr(entry, "line", None), getattr(entry, "zone", None)
            if line is not None:
                way = getattr(entry, "direction", None) or getattr(entry, "inward", None)
                yield Place(kind, title, line, _WAYS.get(str(way)))
            if zone is not None:
                yield Place(kind, title, zone)
            serving = getattr(entry, "serving_zone", None)
            if serving is not None:
                yield Place(kind, f"{name}: served here", serving)
