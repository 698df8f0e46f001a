"""An outbox whose disk refuses to grow files for a while (RLIMIT_FSIZE); prints what happened as one JSON object."""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from pathlib import Path

from tests.outbox.samples import new
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.errors import StorageError
from vedette.ports.outbox import CLOUD_CHANNEL


def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    outbox = SqliteOutbox(Path(sys.argv[1]), max_volatile=20)
    outbox.commit("j", 1, {}, [new(n, "hook", CLOUD_CHANNEL) for n in range(5)])
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    told: dict[str, object] = {}
    for n in range(5, 25):
        outbox.commit("j", n, {"n": n}, [new(n, "hook", CLOUD_CHANNEL)])
    during = outbox.health()
    told["durable"], told["problem"], told["volatile"] = during.durable, during.problem, during.volatile
    told["hook"] = [row.row_id for row in outbox.rows("hook", 0, None, 100)]
    told["cloud"] = len(outbox.rows(CLOUD_CHANNEL, 0, None, 100))
    try:
        outbox.commit("j", 99, {}, [new(99, "hook")])
    except StorageError as error:
        told["full"] = error.code
    outbox.delivered("hook", [1, 2, 6, 7])  # two on disk, two in memory
    told["left"] = [row.row_id for row in outbox.rows("hook", 0, None, 100)]
    told["repeat"] = outbox.commit("j", 24, {"n": 24}, [new(3, "hook"), new(20, "hook")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    deadline_s = time.monotonic() + 20
    while not outbox.flush() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    told["after"] = outbox.health().durable
    if sys.argv[2] == "close":
        outbox.close()
    print(json.dumps(told), flush=True)
    signal.raise_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
