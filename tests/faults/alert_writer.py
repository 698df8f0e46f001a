"""Commits alerts until it is killed, and says which it was told are safe: ``python -m tests.faults.alert_writer``.

Takes one JSON object a line on standard input: ``folder``, ``first`` (number of the first alert), ``pause_s`` (between
commits) and ``mutant``; forks a process that works in the folder, so that hundreds of lives cost no start of Python,
and prints ``pid N``, then ``acked N`` for each alert that is safe, ``seq N NUMBER`` for each number that was given to
the cloud, and ``ended``.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.faults.alerts import new_alert
from vedette.adapters.outbox import schema
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.ports.outbox import CLOUD_CHANNEL

#: Faulty implementations, by name: what the suite has to notice.
MUTANTS: Final = ("", "normal", "delete", "early")
_PRAGMAS: Final = {"normal": ("synchronous=NORMAL",), "delete": ("journal_mode=DELETE", "synchronous=FULL")}
HOOK: Final = "app/hook"


def main(do: Callable[[dict[str, Any]], None]) -> None:
    """A life for each line of standard input, until it is killed.

    Args:
        do: what it does with what the line asks.
    """
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                do(asked)
            finally:
                os._exit(1)
        say(f"pid {child}")
        os.waitpid(child, 0)
        say("ended")


def work(asked: dict[str, Any]) -> None:
    """One life."""
    mutant = str(asked.get("mutant", ""))
    if mutant in _PRAGMAS:
        make_lazy(_PRAGMAS[mutant])
    outbox = SqliteOutbox(Path(asked["folder"]) / "outbox.db")
    number, told = int(asked["first"]), 0
    while True:
        if mutant == "early":
            say(f"acked {number}")
        outbox.commit("journal", number, {"n": number}, [new_alert(number, HOOK, CLOUD_CHANNEL)])
        if mutant != "early":
            say(f"acked {number}")
        if number % 8 == 0:  # what the uplink would publish
            for row in outbox.rows(CLOUD_CHANNEL, told, None, 100):
                say(f"seq {row.seq} {json.loads(row.body)['media_time_s']:.0f}")
                told = row.row_id
        number += 1
        if asked["pause_s"]:
            time.sleep(asked["pause_s"])


def make_lazy(pragmas: tuple[str, ...]) -> None:
    """Mutants of how SQLite keeps the file."""
    real = schema.open_database

    def lazy(path: Path) -> sqlite3.Connection:
        connection = real(path)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    schema.open_database = lazy  # type: ignore[assignment]


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(work)
