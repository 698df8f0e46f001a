"""``--set path=value``: one value of a manifest replaced for a run, checked like the manifest itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import ValidationError

from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Manifest


def with_overrides(manifest: Manifest, assignments: Iterable[str]) -> Manifest:
    """The manifest with ``models.people.min_confidence=0.4`` and the like applied.

    Args:
        manifest: a valid manifest.
        assignments: dotted paths and YAML values.

    Raises:
        UsageError: V701, no such place, or a value the manifest does not allow.
    """
    assignments = list(assignments)
    if not assignments:
        return manifest
    document: dict[str, Any] = manifest.model_dump(mode="json", exclude_unset=True)
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise UsageError(
                f"--set {assignment!r} is not of the form path=value, such as models.NAME.min_confidence=0.4."
            )
        _assign(document, path.split("."), yaml.safe_load(text), path)
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"--set: {place}: {first['msg']} (found {first['input']!r}).") from error


def _assign(document: dict[str, Any], path: list[str], value: Any, whole: str) -> None:
    """Put ``value`` at ``path``; every part but the last must exist."""
    place = document
    for part in path[:-1]:
        child = place.get(part)
        if not isinstance(child, dict):
            raise UsageError(f"--set {whole}: there is no {part!r} here; there is {', '.join(sorted(place))}.")
        place = child
    place[path[-1]] = value
