"""Plain values as read from a file: what has the wrong type is passed over here, the types report it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vedette.contracts.base import Contract
from vedette.core.labels import COCO, OBJECT
from vedette.core.manifest_checks.finding import Path
from vedette.core.symbologies import SYMBOLOGIES

#: A point of a zone or line.
XY = tuple[float, float]


def some(names: tuple[str, ...], limit: int = 12) -> str:
    """The first names of a list, and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def known_labels(labels: Any) -> tuple[str, ...] | None:
    """Class names of a model as its `labels` field gives them; None where it gives none."""
    if isinstance(labels, list):
        return tuple(label for label in labels if isinstance(label, str))
    return COCO if labels == "coco" else None


def model_labels(model: dict[str, Any]) -> tuple[str, ...] | None:
    """Class names of a model as the manifest describes it; None where that cannot be said."""
    labels = model.get("labels", "coco")
    if model.get("family") == "codes":
        return known_labels(labels) if isinstance(labels, list) else SYMBOLOGIES
    if model.get("family") == "moving" and not isinstance(labels, list):
        return (OBJECT,)
    return known_labels(labels)


def sources_of(document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """What a rule or an insight can listen to, with its cameras: pipelines, and outputs of ``panorama``."""
    sources = {name: texts(entry.get("cameras")) for name, entry in dicts(document, "pipelines").items()}
    code = section(document, "panorama")
    cameras = tuple(camera for entry in section(code, "inputs").values() for camera in texts(entry))
    return dict.fromkeys(texts(code.get("outputs")), cameras) | sources


def pipeline_of(rule: dict[str, Any], pipelines: Mapping[str, object]) -> str:
    """Name of the pipeline a rule or an insight listens to; empty where that cannot be said."""
    only = next(iter(pipelines)) if len(pipelines) == 1 else ""
    wanted = rule.get("pipeline", only)
    return wanted if isinstance(wanted, str) else ""


def section(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of the manifest with entries by name; empty where it is none."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def is_given(contract: type[Contract], action: dict[str, Any], field: str) -> bool:
    """Whether a field says something: a manifest that is written out by a program has every default in it."""
    return action.get(field) not in (None, contract.model_fields[field].default)


def dicts(document: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The entries of a section that are fields themselves."""
    return {key: value for key, value in section(document, name).items() if isinstance(value, dict)}


def watching(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Everything that watches objects of a pipeline: section, name and fields of each rule and insight."""
    for part in ("rules", "insights"):
        for name, entry in dicts(document, part).items():
            yield part, name, entry


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list; none where it is no list."""
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()


def number(value: Any) -> float | None:
    """A number as float; None where it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def points(value: Any) -> list[XY] | None:
    """Points of a zone or line where all are pairs of normalised numbers; else None."""
    if not isinstance(value, list):
        return None
    points: list[XY] = []
    for point in value:
        if not isinstance(point, list) or len(point) != 2:
            return None
        x, y = number(point[0]), number(point[1])
        if x is None or y is None or not (0 <= x <= 1 and 0 <= y <= 1):
            return None
        points.append((x, y))
    return points


def get(document: Any, path: Path) -> Any:
    """The value at a path."""
    for part in path:
        document = document[part]
    return document
