"""Works while what it writes is recorded: ``python -m tests.faults.recorded_writer FOLDER ALERTS MUTANT``.

Says what is safe by writing to ``acks`` in the same folder, so that it stands in the record where it was said.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
from pathlib import Path
from typing import Final

from tests.faults.alert_writer import HOOK, make_lazy
from tests.faults.alerts import new_alert
from vedette.adapters.outbox import schema
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.ports.outbox import CLOUD_CHANNEL

#: Pages of the log after which it is carried over: many carries in a short record.
CHECKPOINT_PAGES: Final = 48
_ACK: Final = struct.Struct("<ci")


def main() -> None:
    folder, number, mutant = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if mutant == "normal":
        make_lazy(("synchronous=NORMAL",))
    _carry_over_often()
    acks = os.open(folder / "acks", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    outbox = SqliteOutbox(folder / "outbox.db")
    for n in range(number):
        outbox.commit("journal", n, {"n": n}, [new_alert(n, HOOK, CLOUD_CHANNEL)])
        os.write(acks, _ACK.pack(b"+", n))
        if n % 7 == 6:
            rows = outbox.rows(HOOK, 0, None, 5)
            for row in rows:  # told before it is noted: it may come again, it must not be missed
                os.write(acks, _ACK.pack(b"-", row.row_id - 1))
            outbox.delivered(HOOK, [row.row_id for row in rows])
        if n % 11 == 10:
            outbox.acknowledge(outbox.epoch, max(1, n - 20))
    os._exit(0)


def _carry_over_often() -> None:
    real = schema.open_database

    def often(path: Path) -> sqlite3.Connection:
        connection = real(path)
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        return connection

    schema.open_database = often  # type: ignore[assignment]


def acked(content: bytes) -> tuple[int, set[int]]:
    """How many alerts are safe, and which of them were delivered, by the content of ``acks``."""
    count, gone = 0, set()
    for kind, number in _ACK.iter_unpack(content[: len(content) // _ACK.size * _ACK.size]):
        if kind == b"+":
            count = number + 1
        else:
            gone.add(number)
    return count, gone


if __name__ == "__main__":
    main()
