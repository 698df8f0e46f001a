"""Journal and outbox on a disk whose flushes take seconds or fail: ``python -m tests.faults.slow_disk_program FOLDER``.

Runs with the library of ``shim.c``, whose knob it turns itself; prints one JSON object.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from tests.faults.alerts import new_alert
from tests.journal.samples import batch
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.adapters.outbox.sqlite import SqliteOutbox

HOOK: Final = "app/hook"
FLUSH_S: Final = 5.0
#: Of 25 a second: they come for as long as two flushes take.
PICTURES: Final = 250


def turn(microseconds: int) -> None:
    with Path(os.environ["VEDETTE_SHIM_SYNC"]).open("r+b") as file:
        file.write(struct.pack("q", microseconds))


def slow(folder: Path) -> dict[str, Any]:
    """Who waits while a flush takes seconds."""
    appended: list[float] = []
    seen: list[float] = []
    waited: list[float] = []
    written_s: dict[int, float] = {}
    with (
        closing(SqliteJournalWriter(folder / "journal.db")) as writer,
        closing(SqliteJournalReader(folder / "journal.db")) as reader,
        closing(SqliteOutbox(folder / "outbox.db")) as outbox,
    ):
        turn(int(FLUSH_S * 1e6))

        def commit() -> None:
            for number in range(2):
                begun_s = time.monotonic()
                outbox.commit("j", number, {}, [new_alert(number, HOOK)])
                waited.append(time.monotonic() - begun_s)

        thread = threading.Thread(target=commit)
        thread.start()
        after = 0
        for number in range(PICTURES):
            begun_s = written_s[number] = time.monotonic()
            writer.append(batch(number))
            appended.append(time.monotonic() - begun_s)
            limit_s = begun_s + 0.04
            while time.monotonic() < limit_s:
                reader.identity()
                for seq, row in reader.read(after, 100):
                    after = seq
                    seen.append(time.monotonic() - written_s[row.frame.frame_no])  # type: ignore[union-attr]
                time.sleep(0.005)
        thread.join()
        turn(0)
    return {"append_s": max(appended), "read_s": sorted(seen)[-2], "seen": len(seen), "commit_s": max(waited)}


def failing(folder: Path) -> dict[str, Any]:
    """Whether alerts are delivered while flushes fail, and are there when they do again."""
    with closing(SqliteOutbox(folder / "failing.db")) as outbox:
        outbox.commit("j", 0, {}, [new_alert(number, HOOK) for number in range(20)])
        turn(-1)
        for number in range(20, 60):
            outbox.commit("j", number, {}, [new_alert(number, HOOK)])
        during = outbox.health()
        rows = outbox.rows(HOOK, 0, None, 100)
        outbox.delivered(HOOK, [row.row_id for row in rows if row.row_id % 2])
        turn(0)
        limit_s = time.monotonic() + 10
        while not outbox.flush() and time.monotonic() < limit_s:
            time.sleep(0.05)
        durable = outbox.health().durable
    with closing(SqliteOutbox(folder / "failing.db")) as outbox:
        after = [row.row_id for row in outbox.rows(HOOK, 0, None, 100)]
    return {"said": not during.durable, "meanwhile": len(rows), "durable": durable, "after": after}


def main() -> None:
    folder = Path(sys.argv[1])
    print(json.dumps({"slow": slow(folder), "failing": failing(folder)}))


if __name__ == "__main__":
    main()
