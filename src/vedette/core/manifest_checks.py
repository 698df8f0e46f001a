"""What the types of a manifest cannot say: names that fit together, shapes that are shapes.

Works on plain values, as read from the file, so that these mistakes are found beside mistakes of type, all in one go.
Whatever has the wrong type is passed over here; the types report it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from types import SimpleNamespace
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from vedette.contracts.manifest import Manifest
from vedette.core.labels import COCO

Path = tuple[str | int, ...]
_XY = tuple[float, float]

#: Two points closer than this, as a share of the picture, are the same point: a fifth of a pixel at 4K.
_SAME: Final = 5e-5
#: A zone smaller than this share of the picture is no area: 8 by 8 pixels at 1080p.
_LEAST_AREA: Final = 3e-5


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake at a path of the manifest.

    Attributes:
        path: keys and positions from the top.
        message: what was found.
        allowed: what is allowed there.
        suggestion: what was probably meant.
        level: whether the manifest can be used all the same.
    """

    path: Path
    message: str
    allowed: str = ""
    suggestion: str = ""
    level: Literal["error", "warning"] = "error"


def near_miss(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, in back quotes; empty where none is near."""
    names = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold().strip(), names, n=1, cutoff=0.6)
    return f"`{names[close[0]]}`" if close else ""


def check_references(document: dict[str, Any]) -> Iterator[Finding]:
    """Every name used is a name given, and rules watch cameras that their pipeline analyses."""
    cameras, models = _section(document, "cameras"), _section(document, "models")
    actions = _section(document, "actions") or {"file": {}}
    pipelines, rules = _dicts(document, "pipelines"), _dicts(document, "rules")
    known = {"model": models, "camera": cameras, "pipeline": pipelines, "action": actions}
    for path, message in _reference_mistakes(document, cameras, models, actions):
        kind = next((kind for kind in known if message.startswith(f"no {kind} ")), None)
        if kind is None:
            yield Finding(path, "`pipeline` is missing, and there is more than one pipeline", ", ".join(pipelines))
            continue
        text, _, allowed = message.partition("; there is ")
        near = near_miss(str(_get(document, path)), known[kind])
        yield Finding(path, text, allowed, near)
    for name, rule in rules.items():
        wanted = _pipeline_of(rule, pipelines)
        pipeline = pipelines.get(wanted)
        if pipeline is None:
            continue
        served = _texts(pipeline.get("cameras"))
        for index, camera in enumerate(_texts(rule.get("cameras"))):
            if camera in cameras and camera not in served:
                yield Finding(
                    ("rules", name, "cameras", index),
                    f"camera {camera!r} is not analysed by the rule's pipeline {wanted!r}",
                    ", ".join(served),
                    near_miss(camera, served),
                )


def check_labels(document: dict[str, Any]) -> Iterator[Finding]:
    """Every class that is asked for is one that the model knows and the pipeline keeps."""
    pipelines, models = _dicts(document, "pipelines"), _dicts(document, "models")
    kept: dict[str, tuple[str, ...]] = {}
    for name, pipeline in pipelines.items():
        model = models.get(str(pipeline.get("model")))
        if model is None:
            continue
        known = _known_labels(model.get("labels", "coco"))
        if known is None:
            continue
        wanted = pipeline.get("labels")
        yield from _unknown(("pipelines", name, "labels"), wanted, known, f"model {pipeline['model']!r} does not know")
        listed = _texts(wanted)
        kept[name] = tuple(label for label in known if not listed or label in listed)
    for name, rule in _dicts(document, "rules").items():
        wanted = _pipeline_of(rule, pipelines)
        if wanted in kept:
            text = f"pipeline {wanted!r} does not keep"
            yield from _unknown(("rules", name, "labels"), rule.get("labels"), kept[wanted], text)


def check_shapes(document: dict[str, Any]) -> Iterator[Finding]:
    """Zones are areas with a simple border; lines have two ends and a direction that can cross them."""
    for name, rule in _dicts(document, "rules").items():
        if (zone := _points(rule.get("zone"))) is not None and len(zone) >= 3:
            yield from _zone(("rules", name, "zone"), zone)
        if (line := _points(rule.get("line"))) is not None and len(line) == 2:
            yield from _line(("rules", name), line, rule.get("direction"))


def check_values(document: dict[str, Any]) -> Iterator[Finding]:
    """Values that contradict each other, and addresses of receivers."""
    for name, pipeline in _dicts(document, "pipelines").items():
        tracker = pipeline.get("tracker")
        if isinstance(tracker, dict):
            low, high = _number(tracker.get("low_confidence", 0.1)), _number(tracker.get("high_confidence", 0.45))
            if low is not None and high is not None and low > high:
                key = "low_confidence" if "low_confidence" in tracker else "high_confidence"
                yield Finding(
                    ("pipelines", name, "tracker", key),
                    f"low_confidence {low:g} is above high_confidence {high:g}",
                    "low_confidence at most high_confidence",
                )
    for name, rule in _dicts(document, "rules").items():
        if rule.get("type") == "count" and ("above" in rule) == ("below" in rule):
            found = "both `above` and `below`" if "above" in rule else "neither `above` nor `below`"
            yield Finding(("rules", name, *(("below",) if "below" in rule else ())), found, "exactly one of the two")
    for name, action in _dicts(document, "actions").items():
        if action.get("type") == "webhook" and isinstance(action.get("url"), str):
            yield from _webhook(("actions", name, "url"), action["url"])


def check_unused(document: dict[str, Any]) -> Iterator[Finding]:
    """Warnings: what nothing uses is probably a mistake."""
    pipelines = _dicts(document, "pipelines")
    used_models = {str(pipeline.get("model")) for pipeline in pipelines.values()}
    used_cameras = {camera for pipeline in pipelines.values() for camera in _texts(pipeline.get("cameras"))}
    for section, kind, used in (("models", "model", used_models), ("cameras", "camera", used_cameras)):
        for name in _section(document, section):
            if name not in used:
                yield Finding((section, name), f"no pipeline uses {kind} {name!r}", level="warning")
    if isinstance(document.get("pipelines"), dict) and not document.get("rules"):
        yield Finding(
            ("rules",) if "rules" in document else (), "there is no rule, so there will be no alert", level="warning"
        )


def check_document(document: dict[str, Any]) -> list[Finding]:
    """All of the above, in the order of the functions."""
    checks = (check_references, check_labels, check_shapes, check_values)
    findings = [finding for check in checks for finding in check(document)]
    misnamed = any(finding.path[:1] == ("pipelines",) for finding in findings)
    return findings if misnamed else findings + list(check_unused(document))


# --- geometry --------------------------------------------------------------------------------------------------------


def _zone(path: Path, zone: list[_XY]) -> Iterator[Finding]:
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


def _line(rule: Path, line: list[_XY], direction: Any) -> Iterator[Finding]:
    (x1, y1), (x2, y2) = line
    if _same(line[0], line[1]):
        yield Finding((*rule, "line"), "the two ends of the line are the same point", "two different points")
    elif x1 == x2 and direction in ("top_to_bottom", "bottom_to_top"):
        allowed = "left_to_right, right_to_left or any"
        yield Finding((*rule, "direction"), f"a vertical line cannot be crossed {direction}", allowed)
    elif y1 == y2 and direction in ("left_to_right", "right_to_left"):
        allowed = "top_to_bottom, bottom_to_top or any"
        yield Finding((*rule, "direction"), f"a horizontal line cannot be crossed {direction}", allowed)


def _same(a: _XY, b: _XY) -> bool:
    return abs(a[0] - b[0]) < _SAME and abs(a[1] - b[1]) < _SAME


def _turn(a: _XY, b: _XY, c: _XY) -> int:
    """Side of the line a to b on which c lies: -1, 0 (on it) or 1."""
    value = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return 0 if abs(value) < 1e-12 else (1 if value > 0 else -1)


def _between(a: _XY, b: _XY, c: _XY) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _cross(a: _XY, b: _XY, c: _XY, d: _XY) -> bool:
    """Whether the segments a to b and c to d have a point in common."""
    t1, t2, t3, t4 = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if t1 != t2 and t3 != t4:
        return True
    ends = ((t1, a, b, c), (t2, a, b, d), (t3, c, d, a), (t4, c, d, b))
    return any(turn == 0 and _between(p, q, r) for turn, p, q, r in ends)


def _area(zone: list[_XY]) -> float:
    total = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(zone, zone[1:] + zone[:1], strict=True))
    return abs(total) / 2


# --- plain values ----------------------------------------------------------------------------------------------------


def _reference_mistakes(
    document: dict[str, Any], cameras: dict[str, Any], models: dict[str, Any], actions: dict[str, Any]
) -> list[tuple[Path, str]]:
    """The contract's own check, on a stand-in that holds whatever part of the file has the right type."""

    def optional(value: Any) -> Any:
        return _texts(value) if isinstance(value, list) else None

    pipelines = {
        name: SimpleNamespace(model=entry.get("model"), cameras=_texts(entry.get("cameras")))
        for name, entry in _dicts(document, "pipelines").items()
        if isinstance(entry.get("model"), str)
    }
    rules = {
        name: SimpleNamespace(
            pipeline=entry.get("pipeline"),
            cameras=optional(entry.get("cameras")),
            actions=optional(entry.get("actions")),
        )
        for name, entry in _dicts(document, "rules").items()
        if isinstance(entry.get("pipeline"), str | None)
    }
    stand_in = SimpleNamespace(cameras=cameras, models=models, pipelines=pipelines, rules=rules, actions=actions)
    mistakes = Manifest.reference_mistakes(cast(Manifest, stand_in))
    return [(path, text) for path, text in mistakes if pipelines or "`pipeline` is needed" not in text]


def _webhook(path: Path, url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:  # its text may repeat a part of a password
        yield Finding(path, "not an address", "https://host/path")
        return
    if parts.scheme not in ("http", "https") or not host:
        yield Finding(path, f"not an address of a web server (scheme {parts.scheme[:20]!r})", "https://host/path")
    if user:
        yield Finding(path, "credentials in the address", "an address without them, and `secret` to sign requests")


def _unknown(path: Path, labels: Any, known: tuple[str, ...], text: str) -> Iterator[Finding]:
    if not isinstance(labels, list):
        return
    for index, label in enumerate(labels):
        if isinstance(label, str) and label not in known:
            yield Finding((*path, index), f"{text} the class {label!r}", _some(known), near_miss(label, known))


def _some(names: tuple[str, ...], limit: int = 12) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _known_labels(labels: Any) -> tuple[str, ...] | None:
    if isinstance(labels, list):
        return tuple(label for label in labels if isinstance(label, str))
    return COCO if labels == "coco" else None


def _pipeline_of(rule: dict[str, Any], pipelines: dict[str, dict[str, Any]]) -> str:
    """Name of the pipeline a rule listens to; empty where that cannot be said."""
    only = next(iter(pipelines)) if len(pipelines) == 1 else ""
    wanted = rule.get("pipeline", only)
    return wanted if isinstance(wanted, str) else ""


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _dicts(document: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {key: value for key, value in _section(document, name).items() if isinstance(value, dict)}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _points(value: Any) -> list[_XY] | None:
    """Points of a zone or line where all are pairs of normalised numbers; else None."""
    if not isinstance(value, list):
        return None
    points: list[_XY] = []
    for point in value:
        if not isinstance(point, list) or len(point) != 2:
            return None
        x, y = _number(point[0]), _number(point[1])
        if x is None or y is None or not (0 <= x <= 1 and 0 <= y <= 1):
            return None
        points.append((x, y))
    return points


def _get(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part]
    return document
