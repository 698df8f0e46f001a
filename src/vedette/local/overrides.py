"""``--set NAME=VALUE`` and ``--set path=value``: a parameter's value, or any value of a manifest, for a run.

A parameter that the manifest declares goes before a place of the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import yaml

from vedette.adapters.manifest import validate_document
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Manifest, ParameterValue
from vedette.core.manifest_checks import Finding
from vedette.core.mistake import path_text
from vedette.core.parameters import with_parameters

#: ``rules.NAME``: what stands below has fields, which may be unset.
_NAMES_DEPTH: Final = 2


def split_assignments(manifest: Manifest, assignments: Iterable[str]) -> tuple[dict[str, ParameterValue], list[str]]:
    """Values of parameters, and the assignments that are about places of the manifest.

    Args:
        manifest: a valid manifest.
        assignments: ``NAME=VALUE`` or ``path=value`` each.

    Raises:
        UsageError: V701, a parameter is given twice.
    """
    values: dict[str, ParameterValue] = {}
    places: list[str] = []
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        unknown = "." not in name and name not in Manifest.model_fields and manifest.parameters
        if not separator or not name or not (name in manifest.parameters or unknown):
            places.append(assignment)
        elif name in values:
            raise UsageError(f"--set {name} is given twice.")
        else:
            values[name] = text
    return values, places


def by_application(manifests: Sequence[Manifest], assignments: Iterable[str]) -> dict[str, list[str]]:
    """Which assignments are for which of several applications; ``APP.`` in front says so and is taken off.

    Without it the only application is meant, or the only one that has a parameter of that name.

    Raises:
        UsageError: V701, it cannot be told which application is meant.
    """
    names = [manifest.name for manifest in manifests]
    shared: dict[str, list[str]] = {name: [] for name in names}
    for assignment in assignments:
        place, separator, text = assignment.partition("=")
        app, dot, rest = place.partition(".")
        having = [manifest.name for manifest in manifests if place in manifest.parameters]
        if dot and app in names and (len(names) > 1 or app not in Manifest.model_fields):
            shared[app].append(f"{rest}{separator}{text}")
        elif len(names) == 1:
            shared[names[0]].append(assignment)
        elif len(having) == 1:
            shared[having[0]].append(assignment)
        else:
            meant = [f"{name}.{place}" for name in having or names]
            raise UsageError(f"--set {place}: say which application is meant: {' or '.join(meant)}.")
    return shared


def with_overrides(manifest: Manifest, assignments: Iterable[str]) -> Manifest:
    """The manifest with ``patience_s=30``, ``models.people.min_confidence=0.4`` and the like applied.

    Args:
        manifest: a valid manifest.
        assignments: names of parameters or dotted paths, and YAML values.

    Raises:
        UsageError: V701, no such place, or a value the manifest does not allow.
        ConfigurationError: V106, no such parameter, or a value it does not allow.
    """
    values, places = split_assignments(manifest, assignments)
    return with_parameters(_with_places(manifest, places), values)


def _with_places(manifest: Manifest, assignments: list[str]) -> Manifest:
    if not assignments:
        return manifest
    document: dict[str, Any] = manifest.model_dump(mode="json", exclude_unset=True)
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path:
            raise UsageError(
                f"--set {assignment!r} is not of the form path=value, such as models.NAME.min_confidence=0.4."
            )
        _assign(document, path.split("."), _value(text, path), path)
    changed, findings = validate_document(document)
    errors = [finding for finding in findings if finding.level == "error"]
    if changed is None or errors:
        raise UsageError(
            "--set makes the manifest wrong: " + "; ".join(_words(finding) for finding in errors) + ".",
            hint="Every field is described in docs/manifest.md.",
        )
    return changed


def _value(text: str, path: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UsageError(
            f"--set {path}: {text!r} is no YAML value: {problem}.", hint="Put texts with [ { ! & * : # in quotes."
        ) from error


def _words(finding: Finding) -> str:
    place = path_text(finding.path)
    parts = [f"{place}: {finding.message}" if place else finding.message]
    if finding.allowed:
        parts.append(f"allowed: {finding.allowed}")
    if finding.suggestion:
        parts.append(f"meant {finding.suggestion}?")
    return ", ".join(parts)


def _assign(document: dict[str, Any], path: list[str], value: Any, whole: str) -> None:
    """Put ``value`` at ``path``; names of models, rules and the like must exist, fields may be new."""
    place: Any = document
    for depth, part in enumerate(path):
        key: str | int = part
        if isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                raise UsageError(f"--set {whole}: {part!r} is no position of a list of {len(place)}.")
            key = int(part)
        elif not isinstance(place, dict):
            raise UsageError(f"--set {whole}: there is nothing below {'.'.join(path[:depth])}.")
        elif part not in place and depth < len(path) - 1:
            if depth < _NAMES_DEPTH:
                raise UsageError(f"--set {whole}: there is no {part!r} here; there is {', '.join(sorted(place))}.")
            place[part] = {}
        if depth == len(path) - 1:
            place[key] = value
        else:
            place = place[key]
