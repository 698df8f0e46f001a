"""What the journal and the outbox take."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.processes import cpu_s
from bench.result import Figure, Row
from bench.system import quantile
from tests.journal.samples import batch
from tests.outbox.samples import new
from vedette.adapters.journal.sqlite import SqliteJournalWriter
from vedette.adapters.outbox.sqlite import SqliteOutbox

BOXES = tuple((10.0 * n, 20.0, 10.0 * n + 50, 120.0) for n in range(5))


def measure(quick: bool) -> Row:
    """As fast as they go, on the disk of the temporary folder."""
    rounds, pictures, alerts = (1, 500, 50) if quick else (5, 10_000, 300)
    journal, outbox, single = [], [], []
    cost, waits = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="vb") as folder:
            rate, spent = _journal(Path(folder) / "journal.db", pictures)
            journal.append(rate)
            cost.append(spent)
            rate, delays = _commits(Path(folder) / "outbox.db", alerts, 1)
            single.append(rate)
            waits += delays
            outbox.append(_commits(Path(folder) / "many.db", alerts, 100)[0] * 100)
    return Row(
        "journal",
        "What journal and outbox take",
        "python -m bench journal",
        f"Track batches of five objects into the journal ({pictures:,} in a row, until committed), alerts into the outbox with "
        f"synchronous=FULL, one by one and a hundred to a transaction; {rounds} rounds.",
        (
            Figure("journal: batches", "1/s", tuple(journal)),
            Figure("journal: processor", "ms/batch", tuple(cost)),
            Figure("outbox: transactions of one alert, each on the disk before the next", "1/s", tuple(single)),
            Figure("outbox: a transaction, p50", "ms", (1000 * quantile(waits, 0.5),)),
            Figure("outbox: a transaction, p99", "ms", (1000 * quantile(waits, 0.99),)),
            Figure("outbox: alerts in transactions of a hundred", "1/s", tuple(outbox)),
        ),
    )


def _journal(path: Path, count: int) -> tuple[float, float]:
    """Batches a second until all are committed; processor milliseconds each."""
    writer = SqliteJournalWriter(path)
    batches = [batch(number, boxes=BOXES, at=time.time()) for number in range(count)]
    used_s, begun_s = cpu_s([os.getpid()]), time.monotonic()
    for one in batches:
        writer.append(one)
    writer.close()
    elapsed_s = time.monotonic() - begun_s
    return writer.stats().committed / elapsed_s, 1000 * (cpu_s([os.getpid()]) - used_s) / count


def _commits(path: Path, count: int, size: int) -> tuple[float, list[float]]:
    """Transactions a second, and how long each took."""
    outbox, delays = SqliteOutbox(path), []
    begun_s = time.monotonic()
    for number in range(count):
        before_s = time.monotonic()
        outbox.commit("j", number + 1, {}, [new(number * size + n, "cloud") for n in range(size)])
        delays.append(time.monotonic() - before_s)
    elapsed_s = time.monotonic() - begun_s
    outbox.close()
    return count / elapsed_s, delays
