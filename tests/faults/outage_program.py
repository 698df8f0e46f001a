"""How much memory an outbox takes: ``python -m tests.faults.outage_program SMALL BIG FIRST``, one JSON object.

Both are used in the same way, the small one first; the peak of resident memory is taken for each.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.faults.alerts import new_alert
from tests.faults.memory import peak_bytes
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.ports.outbox import CLOUD_CHANNEL


def main() -> None:
    small, big, first = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    work(small, 0)
    before = peak_bytes()
    told = work(big, first)
    print(json.dumps({"grown": max(0, peak_bytes() - before), **told}))


def work(path: Path, first: int) -> dict[str, float]:
    """An hour of an outage, and what the uplink asks meanwhile."""
    begun_s = time.monotonic()
    with closing(SqliteOutbox(path)) as outbox:
        opened_s = time.monotonic() - begun_s
        for number in range(first, first + 500):
            outbox.commit("j", number, {}, [new_alert(number, CLOUD_CHANNEL)])
            if number % 50 == 0:
                outbox.count(CLOUD_CHANNEL, 0, 501)
                outbox.rows(CLOUD_CHANNEL, 0, None, 50)
                outbox.rows(CLOUD_CHANNEL, outbox.newest(CLOUD_CHANNEL) - 50, None, 50)
        health = outbox.health()
    return {
        "opened_s": opened_s,
        "used_bytes": health.used_bytes,
        "pending": health.channels[CLOUD_CHANNEL].pending,
        "evicted": sum(health.evicted.values()),
    }


if __name__ == "__main__":
    main()
