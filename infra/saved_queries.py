"""Questions to the archive that are asked often: ``queries/*.sql``, first line the name, second what it answers.

A row may lie in the archive twice; the queries count it once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "queries"
_COMMENT: Final = "-- "


@dataclass(frozen=True, slots=True)
class Query:
    """A saved query.

    Attributes:
        name: for people.
        description: what it answers.
        sql: of Athena.
    """

    name: str
    description: str
    sql: str


def saved_queries() -> Iterator[Query]:
    """All of them, by the names of their files."""
    for path in sorted(_FOLDER.glob("*.sql")):
        name, description, sql = path.read_text(encoding="utf-8").split("\n", 2)
        yield Query(name.removeprefix(_COMMENT), description.removeprefix(_COMMENT), sql.strip())
