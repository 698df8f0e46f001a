"""A writer whose disk refuses to grow files for a while (RLIMIT_FSIZE); prints what a reader would want to know."""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.journal.samples import batch
from vedette.adapters.journal.sqlite import SqliteJournalWriter


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError
        time.sleep(0.01)


def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = SqliteJournalWriter(Path(sys.argv[1]), max_waiting_bytes=int(sys.argv[2]))
    for number in range(10):
        writer.append(batch(number))
    until(lambda: writer.stats().committed == 10)
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    for number in range(10, 400):
        writer.append(batch(number))
    until(lambda: bool(writer.stats().problem))
    during = writer.stats()
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    until(lambda: not writer.stats().waiting)
    after = writer.stats()
    writer.close()
    print(
        json.dumps(
            {
                "problem": during.problem,
                "waiting": during.waiting,
                "after": after.problem,
                "committed": after.committed,
                "dropped": after.dropped,
            }
        )
    )


if __name__ == "__main__":
    main()
