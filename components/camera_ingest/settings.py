"""The component's configuration, read so that one mistaken camera costs only itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from vedette.contracts.camera import CameraConfig
from vedette.contracts.config import CameraIngestConfig
from vedette.core.redact import redact


@dataclass(frozen=True, slots=True)
class Settings:
    """What is usable of a configuration, and what is not.

    Attributes:
        config: every value that could be used.
        problems: for people, one line each, without credentials.
    """

    config: CameraIngestConfig
    problems: tuple[str, ...] = field(default=())


def read_settings(raw: dict[str, Any]) -> Settings:
    """Read a configuration as it came over IPC; unknown keys and bad values become problems."""
    problems: list[str] = []
    known = CameraIngestConfig.model_fields
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key == "cameras":
            continue
        if key not in known:
            problems.append(f"{key}: not a setting of this component; known are {', '.join(sorted(known))}")
            continue
        try:
            CameraIngestConfig.model_validate({key: value})
        except (ValidationError, ValueError) as error:
            problems.append(f"{key}: {_first(error)}; using {known[key].default!r}")
        else:
            values[key] = value
    cameras: dict[str, CameraConfig] = {}
    for number, entry in enumerate(_entries(raw.get("cameras", ()), problems)):
        name = entry.get("name", f"number {number + 1}") if isinstance(entry, dict) else f"number {number + 1}"
        try:
            camera = CameraConfig.model_validate(entry)
        except ValidationError as error:
            problems.append(f"camera {name}: {_first(error)}; it is left out")
            continue
        if camera.name in cameras:
            problems.append(f"camera {name}: the name is given twice; the first one is used")
            continue
        cameras[camera.name] = camera
    config = CameraIngestConfig.model_validate({**values, "cameras": tuple(cameras.values())})
    return Settings(config, tuple(problems))


def _entries(value: Any, problems: list[str]) -> list[Any]:
    """Cameras as a list: given as one, as a map by name (which a Greengrass merge can add to), or as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except ValueError:
            problems.append("cameras: not JSON; give a list, or a map of cameras by name")
            return []
    if isinstance(value, dict):
        return [{"name": name, **entry} for name, entry in value.items() if isinstance(entry, dict)]
    if isinstance(value, list | tuple):
        return list(value)
    problems.append("cameras: neither a list nor a map of cameras by name")
    return []


def _first(error: Exception) -> str:
    """A validation error in one line. The value itself is not shown: it may hold a password."""
    if isinstance(error, ValidationError):
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        return redact(f"{where}: {detail['msg']}" if where else str(detail["msg"]))
    return redact(str(error))
