"""Names that are allowed here, made of those that were allowed there."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

_LONGEST: Final = 60


def allowed_name(name: str, taken: Container[str] = (), fallback: str = "node") -> str:
    """A name of letters, digits, ``-`` and ``_`` that begins with a letter or digit; the same one for the same name.

    Args:
        name: as the project has it.
        taken: names that are given already.
        fallback: where nothing of the name is left.
    """
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", name).lstrip("_-")[:_LONGEST].rstrip("-") or fallback
    found, number = base, 2
    while found in taken:
        found, number = f"{base}-{number}", number + 1
    return found
