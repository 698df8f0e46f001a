"""A writer process: ``CAMERA COUNT JOURNAL [BELL]``. Prints the number of committed batches as it grows."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.journal.samples import batch
from vedette.adapters.journal.sqlite import SqliteJournalWriter


def main() -> None:
    camera, count, journal = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    writer = SqliteJournalWriter(journal, Path(sys.argv[4]) if len(sys.argv) > 4 else None)
    for number in range(count):
        writer.append(batch(number, camera=camera))
        if number % 10 == 9:
            time.sleep(0.005)
            print(writer.stats().committed, flush=True)
    writer.close()
    print(writer.stats().committed, flush=True)


if __name__ == "__main__":
    main()
