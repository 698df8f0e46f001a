"""Places of a manifest: what stands there, and what its schema allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from vedette.contracts.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Place:
    """A place that exists.

    Attributes:
        path: of the place.
        schemas: its schema's alternatives, references resolved, without null.
        value: what stands there, or the schema's default; None where nothing does.
    """

    path: tuple[str, ...]
    schemas: tuple[Mapping[str, Any], ...]
    value: Any


@dataclass(frozen=True, slots=True)
class NoPlace:
    """A place that does not exist.

    Attributes:
        path: as far as it exists.
        part: the first name that does not.
        known: the names that do, instead.
    """

    path: tuple[str, ...]
    part: str
    known: tuple[str, ...]


@cache
def manifest_schema() -> Mapping[str, Any]:
    """The JSON Schema of a manifest; not to be changed."""
    return Manifest.model_json_schema()


def find_place(document: Mapping[str, Any], path: tuple[str, ...]) -> Place | NoPlace:
    """Walk along a path through a manifest and its schema side by side.

    Names of rules, pipelines and the like must stand in the document; fields only in the schema.

    Args:
        document: the manifest as plain values, right or wrong.
        path: keys only; lists are not entered.
    """
    schema: Mapping[str, Any] = manifest_schema()
    here: Any = document
    for depth, part in enumerate(path):
        fields = _fields(schema, here)
        properties = fields.get("properties", {})
        inside = here if isinstance(here, dict) else {}
        if part in properties:
            schema = properties[part]
            # Inside of what is absent nothing stands, whatever its fields' defaults are.
            here = inside[part] if part in inside else schema.get("default") if isinstance(here, dict) else None
        elif part in inside and (by_name := _by_name(fields)) is not None:
            schema, here = by_name, inside[part]
        else:
            known = properties or (inside if _by_name(fields) is not None else {})
            return NoPlace(path[:depth], part, tuple(sorted(known)))
    return Place(path, tuple(alternatives(schema)), here)


def _fields(schema: Mapping[str, Any], here: Any) -> Mapping[str, Any]:
    """The schema's alternative that has fields; where ``type`` chooses among several, the one chosen."""
    if "discriminator" in schema:
        tag = here.get("type") if isinstance(here, dict) else None
        reference = schema["discriminator"]["mapping"].get(tag) if isinstance(tag, str) else None
        return _resolve({"$ref": reference}) if reference else {}
    return next((each for each in alternatives(schema) if each.get("type") == "object"), {})


def alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a schema allows, references resolved, without null."""
    for option in schema.get("anyOf", (schema,)):
        resolved = _resolve(option)
        if "anyOf" in resolved:
            yield from alternatives(resolved)
        elif resolved.get("type") != "null":
            yield resolved


def _by_name(fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of entries by name, where the place has such."""
    patterns = fields.get("patternProperties") or {}
    found = next(iter(patterns.values()), fields.get("additionalProperties"))
    return found if isinstance(found, Mapping) else None


def _resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = manifest_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema
