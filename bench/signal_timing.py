"""``python -m bench.signal_timing``: how far from their moments signals reach a PLC.

Pulses are due at random moments, at least 20 ms apart, 0.8 s after pictures that are committed to a real outbox (with
a flush each) 0.2 s after they were taken, one by one, as an application does. pymodbus' server in a process of its own
notes by the same monotonic clock when each write arrives. ``--busy`` lets that many processes burn CPU meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.outbox.samples import alert
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.adapters.secrets import SecretStore
from vedette.compose.lines import make_line, timing_of
from vedette.contracts.manifest import ModbusAction
from vedette.pipeline.pictures import PictureTimes
from vedette.pipeline.signal import SignalDelivery
from vedette.ports.outbox import NewAlert

CHANNEL = "bench/ejector"
AFTER_S = 0.8
LATENCY_S = 0.2

_SERVER = """
import json, sys, time
from tests.actions.plc import Plc
plc = Plc()
print(plc.port, flush=True)
sys.stdin.readline()
print(json.dumps(plc.times(3)), flush=True)
plc.close()
"""


def burn(until_s: float) -> None:
    """Something else on this machine."""
    while time.monotonic() < until_s:
        pass


def run(number: int, busy: int) -> dict[str, float]:
    """Errors of ``number`` signals, milliseconds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert server.stdout is not None
    assert server.stdin is not None
    port = int(server.stdout.readline())
    plan = ModbusAction(
        type="modbus", host="127.0.0.1", port=port, unit=7, write="coil", address=3, after_s=AFTER_S, pulse_s=0.01
    )
    others = [
        multiprocessing.Process(target=burn, args=(time.monotonic() + 5 + number * 0.06,), daemon=True)
        for _ in range(busy)
    ]
    for other in others:
        other.start()
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        outbox = SqliteOutbox(Path(folder) / "outbox.db")
        delivery = SignalDelivery(
            outbox, CHANNEL, make_line(plan, SecretStore(lambda _: {}, Path(folder))), timing_of(plan), PictureTimes()
        )
        taken_s, dues = time.monotonic() + 0.5, []
        for key in range(number):
            taken_s += chance.uniform(0.02, 0.08)
            time.sleep(max(0.0, taken_s + LATENCY_S - time.monotonic()))
            wall_s = time.time() - (time.monotonic() - taken_s)
            one = alert(key).model_copy(update={"time": datetime.fromtimestamp(wall_s, UTC)})
            outbox.commit("j", key, {}, [NewAlert(one, (CHANNEL,))])
            delivery.wake()
            dues.append(taken_s + AFTER_S)
        while outbox.channels():
            time.sleep(0.05)
        refused = outbox.health().dead_letters
        delivery.close()
        outbox.close()
    server.stdin.write("\n")
    server.stdin.flush()
    times = json.loads(server.stdout.readline())
    server.wait()
    for other in others:
        other.terminate()
        other.join()
    errors = sorted((at_s - due_s) * 1e3 for at_s, due_s in zip(times, dues, strict=not refused))
    return {
        "signals": number,
        "given": len(times),
        "too late": refused,
        "p50 ms": round(statistics.median(errors), 2),
        "p99 ms": round(errors[int(len(errors) * 0.99)], 2),
        "worst ms": round(errors[-1], 2),
        "earliest ms": round(errors[0], 2),
    }


def main() -> None:
    """Print the figures of an idle and of a busy machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signals", type=int, default=1000)
    parser.add_argument("--busy", type=int, nargs="*", default=[0, os.cpu_count() or 1])
    arguments = parser.parse_args()
    for busy in arguments.busy:
        print(f"{busy} busy processes on {os.cpu_count()} cores:", run(arguments.signals, busy), flush=True)


if __name__ == "__main__":
    main()
