"""One mistake in a file the user wrote, and how it is shown: as a compiler would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: Keys and list positions from the top of the file.
Path_ = tuple[str | int, ...]

_TAB = "\t"
_WIDEST_LINE = 160


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, where, and what would be right.

    Attributes:
        file: as the user named it.
        line: from 1.
        column: from 1, in characters.
        path: ``rules.leaves-right.line[0]``; empty where the whole file is meant.
        message: what was found.
        allowed: what is allowed there; may be empty.
        suggestion: what was probably meant; may be empty.
        level: a ``warning`` does not keep the manifest from being used.
        source: the line of the file.
        width: characters to underline, at least 1.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    allowed: str = ""
    suggestion: str = ""
    level: Literal["error", "warning"] = "error"
    source: str = ""
    width: int = 1

    @property
    def headline(self) -> str:
        """One line: ``file:line:column: path: message``."""
        place = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {place}{self.message}"

    def render(self) -> str:
        """Headline, source line with a caret, what is allowed, what was probably meant."""
        lines = [self.headline]
        if self.source.strip():
            shown, column = self.source.replace(_TAB, " "), self.column
            if len(shown) > _WIDEST_LINE:
                start = max(0, column - _WIDEST_LINE // 2)
                shown, column = shown[start : start + _WIDEST_LINE], column - start
            margin = f"{self.line:5d} | "
            underline = "^" + "~" * (min(self.width, max(1, len(shown) - column + 1)) - 1)
            lines += [f"{margin}{shown}", f"{' ' * 5} | {' ' * (column - 1)}{underline}"]
        lines += [f"        {text}" for text in self.advice()]
        return "\n".join(lines)

    def advice(self) -> list[str]:
        """What is allowed and what was probably meant, a line each."""
        lines = []
        if self.allowed:
            lines.append(f"allowed: {self.allowed}")
        if self.suggestion:
            lines.append(f"did you mean {self.suggestion}?")
        return lines


def path_text(path: Sequence[str | int]) -> str:
    """``("rules", "a", "line", 0)`` as ``rules.a.line[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
