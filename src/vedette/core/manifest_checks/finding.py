"""A mistake in a manifest, and the word that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake at a path of the manifest.

    Attributes:
        path: keys and positions from the top.
        message: what was found.
        allowed: what is allowed there.
        suggestion: what was probably meant.
        level: whether the manifest can be used all the same.
    """

    path: Path
    message: str
    allowed: str = ""
    suggestion: str = ""
    level: Literal["error", "warning"] = "error"


def near_miss(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, in back quotes; empty where none is near."""
    names = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold().strip(), names, n=1, cutoff=0.6)
    return f"`{names[close[0]]}`" if close else ""
