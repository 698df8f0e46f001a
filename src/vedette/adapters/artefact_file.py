"""A file of an artefact, known by its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from vedette.core.fleet.component_recipe import artefact_key


@dataclass(frozen=True, slots=True)
class ArtefactFile:
    """A file that is built, published or loaded.

    Attributes:
        path: on this machine.
        sha256: of its content, hexadecimal.
        size: bytes.
    """

    path: Path
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """Its name in the recipe."""
        return self.path.name

    @property
    def key(self) -> str:
        """Where it lies in the artefacts bucket."""
        return artefact_key(self.sha256, self.name)


def measured(path: Path) -> ArtefactFile:
    """A file as it is now; read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return ArtefactFile(path, digest, file.tell())
