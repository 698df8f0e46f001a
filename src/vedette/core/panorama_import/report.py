"""What became of each part of a project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final


class Outcome(StrEnum):
    """What became of it."""

    MAPPED = "mapped"
    NEEDS_YOU = "needs you"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Row:
    """One part of a project.

    Attributes:
        outcome: what became of it.
        what: the part.
        how: what it is here; why, where it was dropped.
        where: file and place in it.
        todo: what to do about it; empty where there is nothing to do.
    """

    outcome: Outcome
    what: str
    how: str
    where: str
    todo: str = ""


_TITLES: Final = {
    Outcome.NEEDS_YOU: "What needs you",
    Outcome.MAPPED: "What was mapped",
    Outcome.DROPPED: "What was left out, and why",
}


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows for machines."""
    return [asdict(row) for row in rows]


def as_markdown(name: str, rows: Sequence[Row], next_commands: Iterable[str]) -> str:
    """The report as a file beside the application."""
    parts = [f"# {name}: imported from AWS Panorama", "", "Next:", "", "```bash", *next_commands, "```", ""]
    for outcome, title in _TITLES.items():
        found = [row for row in rows if row.outcome is outcome]
        if not found:
            continue
        parts += [f"## {title}", "", "| what | here | from |", "|---|---|---|"]
        parts += [f"| {_cell(row.what)} | {_cell(row.how)} | {_cell(row.where)} |" for row in found]
        parts.append("")
        for row in found:
            if row.todo:
                parts += [f"**{row.what}.** {row.todo.strip()}", ""]
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
