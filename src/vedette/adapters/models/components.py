"""Models that components of the fleet brought: ``components/<name>/entry.json`` in the model store's directory.

The component's installer, which is a shell script because it runs before anything of ours, puts the file into
``components/<name>/<sha256>/`` and the entry last. Its content is verified like that of the store's own files.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from vedette.contracts.base import IDENTIFIER_PATTERN, Contract, Digest
from vedette.contracts.errors import StorageError
from vedette.contracts.model_card import FileName, ModelVersion
from vedette.core.fleet.model_pack import ENTRY_NAME

FOLDER: Final = "components"


class ComponentEntry(Contract):
    """What a model component says of its file."""

    name: str
    version: ModelVersion
    file: FileName
    sha256: Digest
    size: int
    licence: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry, and when it came."""

    entry: ComponentEntry
    added: str

    @property
    def blob(self) -> str:
        """Path of the file inside the store."""
        return f"{FOLDER}/{self.entry.name}/{self.entry.sha256}/{self.entry.file}"


def component_entry(directory: Path, name: str) -> FoundEntry | None:
    """The model of a name that a component brought; None where none did.

    Raises:
        StorageError: V401, its entry cannot be read.
    """
    if not re.fullmatch(IDENTIFIER_PATTERN, name):
        return None
    path = directory / FOLDER / name / ENTRY_NAME
    try:
        added = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        entry = ComponentEntry.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise StorageError(
            f"entry of a model component {path} cannot be read: {error}.", hint="Deploy the component again."
        ) from error
    return FoundEntry(entry, added) if entry.name == name else None


def component_entries(directory: Path) -> tuple[FoundEntry, ...]:
    """All of them, by name.

    Raises:
        StorageError: V401, an entry cannot be read.
    """
    names = sorted(path.parent.name for path in (directory / FOLDER).glob(f"*/{ENTRY_NAME}"))
    found = (component_entry(directory, name) for name in names)
    return tuple(entry for entry in found if entry is not None)
