"""What a bundle takes from this machine: the installer, and a tree of components."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from vedette.contracts.errors import UsageError

_INSTALLER: Final = Path(__file__).with_name("device_bundle")
#: Components with the wheels they need; larger ones are loaded from the account.
_MOST_BYTES: Final = 2 << 30
_RECIPE: Final = re.compile(r"^recipes/[A-Za-z0-9._-]+-\d+\.\d+\.\d+[^/]*\.(yaml|json)$")


def installer_files() -> dict[str, bytes]:
    """The installer's files by name."""
    return {path.name: path.read_bytes() for path in sorted(_INSTALLER.iterdir()) if path.is_file()}


def component_files(tree: Path | None) -> dict[str, Path]:
    """Where the files of a tree that ``vedette build`` wrote are, by their path in it; none where there is no tree.

    Raises:
        UsageError: V703, it is no such tree, too large, or cannot be read.
    """
    if tree is None:
        return {}
    found = {path.relative_to(tree).as_posix(): path for path in sorted(tree.rglob("*")) if path.is_file()}
    kept = {name: path for name, path in found.items() if name.startswith(("recipes/", "artifacts/"))}
    if not any(_RECIPE.match(name) for name in kept):
        raise UsageError(
            f"{tree} holds no components (recipes/NAME-VERSION.yaml).",
            hint="Write it: vedette build --out DIR",
            code="V703",
        )
    size = sum(path.stat().st_size for path in kept.values())
    if size > _MOST_BYTES:
        raise UsageError(f"{tree}: {size} bytes; {_MOST_BYTES} are allowed in a bundle.", code="V703")
    for path in kept.values():
        if not os.access(path, os.R_OK):
            raise UsageError(f"{path} cannot be read.", hint="Give yourself the right to read it: chmod", code="V703")
    return kept
