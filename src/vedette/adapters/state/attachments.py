"""What is attached, as it lies on disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vedette.adapters.state.files import quarantine, read_bounded, write_durably
from vedette.adapters.state.values import Local
from vedette.contracts.config import Attachments, LocalValues
from vedette.contracts.plan import AttachedApplication

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Attached:
    """Everything that is attached.

    Attributes:
        applications: by name.
        candidates: versions that are only compared with them, by name.
        local: values that were set on this device.
        notes: what could not be read, for people.
    """

    applications: dict[str, AttachedApplication] = field(default_factory=dict)
    candidates: dict[str, AttachedApplication] = field(default_factory=dict)
    local: Local = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_attachments(path: Path) -> Attached:
    """Read the file. What this release cannot read costs only itself; a damaged file is put aside.

    Raises:
        StorageError: V401, it cannot be read.
    """
    found = Attached()
    content = read_bounded(path)
    if content is None:
        return found
    try:
        document = json.loads(content)
        entries = document["applications"]
        if not isinstance(entries, list):
            raise TypeError("`applications` is not a list")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        aside = quarantine(path)
        found.notes.append(
            f"{path.name} was damaged and is kept as {aside.name}; "
            "applications come back as their components attach again"
        )
        logger.warning("%s (%s)", found.notes[-1], error)
        return found
    found.applications = _read(entries, "application", path, found.notes)
    found.candidates = _read(document.get("candidates"), "candidate", path, found.notes)
    for entry in document.get("local") or ():
        try:
            local = LocalValues.model_validate(entry)
        except ValidationError as error:
            logger.warning("values that were set on this device cannot be read (%s)", error.errors()[0]["msg"])
            continue
        found.local[local.application] = local
    return found


def write_attachments(
    path: Path,
    applications: Mapping[str, AttachedApplication],
    candidates: Mapping[str, AttachedApplication],
    local: Local,
) -> None:
    """Replace the file.

    Raises:
        StorageError: V401 or V404, it cannot be written; the old one stays.
    """
    document = Attachments(
        applications=tuple(applications[name] for name in sorted(applications)),
        candidates=tuple(candidates[name] for name in sorted(candidates)),
        local=tuple(local.values()),
    )
    write_durably(path, document.model_dump_json(indent=1).encode())


def _read(entries: Any, kind: str, path: Path, notes: list[str]) -> dict[str, AttachedApplication]:
    found: dict[str, AttachedApplication] = {}
    for entry in entries if isinstance(entries, list) else ():
        try:
            application = AttachedApplication.model_validate(entry)
        except ValidationError as error:
            name = entry.get("manifest", {}).get("name", "?") if isinstance(entry, dict) else "?"
            notes.append(f"{kind} {name!r} in {path.name} cannot be read and is left out; attach it again")
            logger.warning("%s (%s)", notes[-1], error.errors()[0]["msg"])
            continue
        found[application.manifest.name] = application
    return found
