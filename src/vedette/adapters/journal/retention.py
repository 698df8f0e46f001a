"""Keeps the journal within its age and size, a little at a time, so that writers hardly notice."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vedette.adapters.journal import files

log = logging.getLogger(__name__)

#: Rows taken out in one transaction: some milliseconds.
STEP_ROWS: Final = 400
#: Free pages given back to the file system in one transaction.
STEP_PAGES: Final = 200
#: Free pages are given back when they are more than this share of the file; fewer are used again soon.
FREE_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Follower:
    """A reader besides the judge, whose position is heeded too.

    Attributes:
        name: for reports.
        identity: the journal its cursor belongs to; nothing read is assumed of another one.
        cursor: sequence number of the newest row it is done with.
        sources: the pipelines it reads.
    """

    name: str
    identity: str
    cursor: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step took out.

    Attributes:
        rows: rows deleted.
        unjudged: those of them that had not been judged: the journal was full of them.
        more: whether there is more to do at once.
        unread: for each follower that had not read some of them, how many.
    """

    rows: int
    unjudged: int
    more: bool
    unread: Mapping[str, int] = field(default_factory=dict)


class JournalRetention:
    """Deletes old batches. For one thread; a connection is opened for each step, so nothing is held in between.

    Args:
        path: ``<state>/journal.db``.
        max_age_s: rows older than this are deleted once judged and read by every follower.
        max_bytes: the oldest rows are deleted where the file's used pages are more than this, whoever lacks them:
            nobody's lag fills the disk.
    """

    def __init__(self, path: Path, *, max_age_s: float, max_bytes: int) -> None:
        self._path = path
        self.max_age_s = max_age_s
        self.max_bytes = max_bytes

    def step(self, identity: str, judged_through: int, now_wall_s: float, followers: Sequence[Follower] = ()) -> Pruned:
        """Delete up to 400 rows; call again at once where ``more``.

        Args:
            identity: the journal the next number belongs to; nothing judged is assumed of another one.
            judged_through: sequence number of the newest row that was judged.
            now_wall_s: Unix time. A clock that jumped ahead costs no row that was not judged.
            followers: who else reads the journal.
        """
        name = files.identity(self._path)
        if not name:
            return Pruned(0, 0, False)
        cursor = judged_through if name == identity else 0
        try:
            with contextlib.closing(files.connect(self._path, name, create=False)) as connection:
                lagging = [(each, each.cursor if each.identity == name else 0) for each in followers]
                return self._step(connection, cursor, now_wall_s, lagging)
        except sqlite3.Error as error:
            log.warning("journal %s cannot be trimmed now (%s)", self._path, error)
            return Pruned(0, 0, False)

    def _step(
        self,
        connection: sqlite3.Connection,
        cursor: int,
        now_wall_s: float,
        followers: Sequence[tuple[Follower, int]],
    ) -> Pruned:
        done = min((cursor, *(read for _, read in followers)))
        newest = self._newest_to_delete(connection, done, now_wall_s)
        if newest is None:
            self._give_back(connection)
            return Pruned(0, 0, False)
        connection.execute("BEGIN IMMEDIATE")
        unjudged = connection.execute(
            "SELECT count(*) FROM batches WHERE seq > ? AND seq <= ?", (cursor, newest)
        ).fetchone()[0]
        unread = {each.name: _unread(connection, each, read, newest) for each, read in followers if read < newest}
        rows = connection.execute("DELETE FROM batches WHERE seq <= ?", (newest,)).rowcount
        connection.execute("COMMIT")
        return Pruned(rows, unjudged, rows >= STEP_ROWS, {name: count for name, count in unread.items() if count})

    def _newest_to_delete(self, connection: sqlite3.Connection, cursor: int, now_wall_s: float) -> int | None:
        """Sequence number of the last of the (at most 400) oldest rows that have to go."""
        too_large = _used_bytes(connection) > self.max_bytes
        oldest = connection.execute("SELECT seq, at FROM batches ORDER BY seq LIMIT ?", (STEP_ROWS,)).fetchall()
        found = None
        for seq, at in oldest:
            if not too_large and (seq > cursor or at >= now_wall_s - self.max_age_s):
                break
            found = int(seq)
        return found

    def _give_back(self, connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free > STEP_PAGES and free > FREE_SHARE * pages:
            # A plain execute() takes one step of this statement, which frees one page; a script takes them all.
            connection.executescript(f"PRAGMA incremental_vacuum({STEP_PAGES})")


def _unread(connection: sqlite3.Connection, follower: Follower, cursor: int, newest: int) -> int:
    """How many of a follower's rows up to ``newest`` it has not read."""
    marks = ",".join("?" * len(follower.sources))
    among = f"pipeline IN ({marks})"
    statement = f"SELECT count(*) FROM batches WHERE seq > ? AND seq <= ? AND {among}"  # noqa: S608 - question marks
    return int(connection.execute(statement, (cursor, newest, *follower.sources)).fetchone()[0])


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    return int((pages - free) * size)
