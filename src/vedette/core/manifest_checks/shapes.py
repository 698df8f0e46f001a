"""Zones are areas, lines have two ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

from vedette.core.manifest_checks.finding import Finding, Path
from vedette.core.manifest_checks.plain import XY, dicts, points, watching

#: Two points closer than this, as a share of the picture, are the same point: a fifth of a pixel at 4K.
_SAME: Final = 5e-5
#: A zone smaller than this share of the picture is no area: 8 by 8 pixels at 1080p.
_LEAST_AREA: Final = 3e-5


def check_shapes(document: dict[str, Any]) -> Iterator[Finding]:
    """Zones are areas with a simple border; lines have two ends and a direction that can cross them."""
    for name, pipeline in dicts(document, "pipelines").items():
        masks = pipeline.get("masks")
        areas: list[tuple[Path, Any]] = [(("pipelines", name, "region"), pipeline.get("region"))]
        if isinstance(masks, list):
            areas += [(("pipelines", name, "masks", index), mask) for index, mask in enumerate(masks)]
        for path, area in areas:
            if (corners := points(area)) is not None and len(corners) >= 3:
                yield from _zone(path, corners)
    for part, name, entry in watching(document):
        for field in ("zone", "serving_zone"):
            if (zone := points(entry.get(field))) is not None and len(zone) >= 3:
                yield from _zone((part, name, field), zone)
        if (line := points(entry.get("line"))) is not None and len(line) == 2:
            field = "direction" if part == "rules" else "inward"
            yield from _line((part, name), line, field, entry.get(field))


def _zone(path: Path, zone: list[XY]) -> Iterator[Finding]:
    count = len(zone)
    for index in range(count):
        if _same(zone[index], zone[(index + 1) % count]):
            closing = index == count - 1
            yield Finding(
                (*path, index),
                "the last point repeats the first" if closing else "the next point is the same",
                "each corner once; the border closes by itself",
            )
            return
    for first, second in combinations(range(count), 2):
        if second - first in (1, count - 1):
            continue
        if _cross(zone[first], zone[first + 1], zone[second], zone[(second + 1) % count]):
            yield Finding(
                path,
                f"the border crosses itself: the side after point {first} meets the side after point {second}",
                "corners in order around the zone",
            )
            return
    if _area(zone) < _LEAST_AREA:
        yield Finding(path, "the points lie on one line, or almost", "corners around an area")


def _line(rule: Path, line: list[XY], field: str, direction: Any) -> Iterator[Finding]:
    (x1, y1), (x2, y2) = line
    if _same(line[0], line[1]):
        yield Finding((*rule, "line"), "the two ends of the line are the same point", "two different points")
    elif x1 == x2 and direction in ("top_to_bottom", "bottom_to_top"):
        allowed = "left_to_right, right_to_left or any" if field == "direction" else "left_to_right or right_to_left"
        yield Finding((*rule, field), f"a vertical line cannot be crossed {direction}", allowed)
    elif y1 == y2 and direction in ("left_to_right", "right_to_left"):
        allowed = "top_to_bottom, bottom_to_top or any" if field == "direction" else "top_to_bottom or bottom_to_top"
        yield Finding((*rule, field), f"a horizontal line cannot be crossed {direction}", allowed)


def _same(a: XY, b: XY) -> bool:
    return abs(a[0] - b[0]) < _SAME and abs(a[1] - b[1]) < _SAME


def _turn(a: XY, b: XY, c: XY) -> int:
    """Side of the line a to b on which c lies: -1, 0 (on it) or 1."""
    value = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return 0 if abs(value) < 1e-12 else (1 if value > 0 else -1)


def _between(a: XY, b: XY, c: XY) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _cross(a: XY, b: XY, c: XY, d: XY) -> bool:
    """Whether the segments a to b and c to d have a point in common."""
    t1, t2, t3, t4 = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if t1 != t2 and t3 != t4:
        return True
    ends = ((t1, a, b, c), (t2, a, b, d), (t3, c, d, a), (t4, c, d, b))
    return any(turn == 0 and _between(p, q, r) for turn, p, q, r in ends)


def _area(zone: list[XY]) -> float:
    total = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(zone, zone[1:] + zone[:1], strict=True))
    return abs(total) / 2
