"""A hook at work until somebody cuts the power: ``python -m tests.hooks.power_cut FOLDER FIRST``.

Writes a picture every few milliseconds, handles it, and says on standard output what is on the disk by then.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hooks.rig import Bench, InlineProcess, batch
from tests.hooks.test_hook_loop import COUNT
from vedette.adapters.journal.sqlite import SqliteJournalWriter


def after(target: object, name: str, told: Callable[[tuple[Any, ...]], None]) -> None:
    """Be told of each call of a method that returned."""
    real = getattr(target, name)

    def call(*arguments: Any) -> Any:
        result = real(*arguments)
        told(arguments)
        return result

    setattr(target, name, call)


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    writer = SqliteJournalWriter(folder / "journal.db")
    bench = Bench(folder, lambda: InlineProcess(COUNT))
    bench.wall_s = time.time()
    bench.start()
    after(bench.events, "append", lambda given: say(appended=[event.message for event in given[0]]))
    after(bench.store, "commit", lambda given: say(cursor=given[0].cursor, state=json.loads(given[0].state)))
    begin_s = time.time() - number / 5
    while True:
        writer.append(batch(number, people=int(number % 7 == 0), begin_s=begin_s))
        number += 1
        time.sleep(0.004)
        bench.now_s = time.monotonic()
        bench.loop.step(0.0)


if __name__ == "__main__":
    main()
