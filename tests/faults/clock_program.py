"""One behaviour while the wall clock jumps: ``python -m tests.faults.clock_program BEHAVIOUR FOLDER JUMPS [wall]``.

Runs with the library of ``shim.c``, whose offset it turns itself; prints one JSON object, jump → whether the behaviour
was as ever. With ``wall`` it is a faulty implementation: everything that asks for the monotonic clock gets the wall's.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time

if sys.argv[4:] == ["wall"]:
    time.monotonic = time.time  # before anything else is imported

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.alerting.scene import DEVICE
from tests.faults.alerts import new_alert
from vedette.adapters.egress import HttpPoster
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.adapters.supervision import ChildSpec, Supervisor
from vedette.contracts.alert import CloudTombstone
from vedette.contracts.errors import DeliveryError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Dwell, LineCrossed
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.judge import Judge
from vedette.pipeline import uplink as uplink_module
from vedette.pipeline.deliver import Delivery
from vedette.pipeline.uplink import Uplink
from vedette.ports.outbox import CLOUD_CHANNEL, OutboxRow

HOUR_S: Final = 3600
#: From the clock's offset before to that after; "1970" is a device without a battery.
JUMPS: Final[dict[str, tuple[float, float]]] = {
    "2 h back": (0, -2 * HOUR_S),
    "2 h ahead": (0, 2 * HOUR_S),
    "a day back": (0, -24 * HOUR_S),
    "a day ahead": (0, 24 * HOUR_S),
    "400 days ahead": (0, 400 * 24 * HOUR_S),
    "back to 1970": (0, -1e10),
    "from 1970 to now": (-1e10, 0),
    "30 s back": (0, -30),
}
CHILD: Final = Path(__file__).resolve().parent.parent / "supervision" / "child_program.py"
WEDGED_S: Final = 12.0


def now_s() -> float:
    """The stop watch of this program, which no mutant touches."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def turn(offset_s: float) -> None:
    """Set the wall clock."""
    with Path(os.environ["VEDETTE_SHIM_CLOCK"]).open("r+b") as file:
        # Before 1970 there is nothing, and a clock that stands still at 0 is none: begin a little later.
        wall = time.clock_gettime(time.CLOCK_REALTIME) - _offset_s
        file.write(struct.pack("q", int(max(offset_s, 60.0 - wall) * 1e9)))
    globals()["_offset_s"] = max(offset_s, 60.0 - wall)


_offset_s = 0.0


def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    limit_s = now_s() + timeout_s
    while not condition():
        if now_s() > limit_s:
            return False
        time.sleep(0.01)
    return True


def timeouts(jump: Callable[[], None], _: Path) -> bool:
    """A receiver that never answers is given up after its time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        poster = HttpPoster(f"http://127.0.0.1:{server.getsockname()[1]}/", allow_private=True, timeout_s=0.6)
        took: list[float] = []

        def post() -> None:
            begun_s = now_s()
            try:
                poster.post(b"{}", {})
            except DeliveryError:
                took.append(now_s() - begun_s)

        thread = threading.Thread(target=post, daemon=True)
        thread.start()
        time.sleep(0.2)
        jump()
        thread.join(4.0)
        return bool(took) and 0.5 <= took[0] <= 2.5


def watchdogs(jump: Callable[[], None], _: Path) -> bool:
    """A process that hangs is replaced, one that works is not."""
    hellos: list[str] = []

    def heard(name: str, message: dict[str, Any]) -> None:
        if "hello" in message:
            hellos.append(name)

    supervisor = Supervisor(heard, jitter=lambda: 0.1)
    supervisor.start()
    try:
        argv = (sys.executable, str(CHILD))
        # Three seconds of silence: on a busy machine a process that works may not get its turn for one.
        supervisor.set_children(
            [
                ChildSpec("good", argv, {"mode": "beat"}, silence_limit_s=3.0, start_limit_s=30.0),
                ChildSpec("bad", argv, {"mode": "hang"}, silence_limit_s=1.0, start_limit_s=30.0),
            ]
        )
        if not until(lambda: {"good", "bad"} <= set(hellos), 30.0):
            return False
        jump()
        return until(lambda: hellos.count("bad") >= 2, 8.0) and hellos.count("good") == 1
    finally:
        supervisor.stop()


class Away:
    """A receiver that is away until it is not."""

    batch = 10
    together = False

    def __init__(self) -> None:
        self.attempts = 0
        self.back = False

    def deliver(self, rows: Any, done: Any) -> None:
        self.attempts += 1
        if not self.back:
            raise DeliveryError("away", code="V502")
        for row in rows:
            done(row)

    def close(self) -> None:
        return


def backoff(jump: Callable[[], None], folder: Path) -> bool:
    """Attempts keep their pauses: neither a storm nor a stop."""
    away = Away()
    with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
        outbox.commit("j", 1, {}, [new_alert(1, "app/hook")])
        with closing(Delivery(outbox, "app/hook", away, jitter=lambda: 0.5)):
            time.sleep(0.3)
            jump()
            time.sleep(1.5)
            calm = 2 <= away.attempts <= 6
            away.back = True
            return until(lambda: outbox.channels() == [], 5.0) and calm


def batches(seconds: float, x: Callable[[float], float]) -> Iterator[TrackBatch]:
    """What a camera and a tracker give: one object at ``x`` (0..1) of its seconds, ten pictures a second."""
    begun_s, number = time.monotonic(), 0
    stop_s = now_s() + seconds
    first_s = now_s()
    while now_s() < stop_s:
        at = x(now_s() - first_s)
        moment_s = time.monotonic()
        yield TrackBatch(
            pipeline="app/people",
            frame=FrameInfo("gate", "e1", number, moment_s - begun_s, moment_s, time.time(), 640, 480),
            track_ids=(1 + int((now_s() - first_s) / 0.4) if x is across else 1,),
            boxes=((640 * at - 20, 200.0, 640 * at + 20, 300.0),),
            labels=("person",),
            scores=(0.9,),
            analysed_wall_s=time.time(),
        )
        number += 1
        time.sleep(0.1)


def judged(
    rule: Dwell | LineCrossed, jump: Callable[[], None], seconds: float, x: Callable[[float], float]
) -> list[float]:
    """Seconds from the first picture at which alerts were raised."""
    plan = RulePlan(
        application="app", name="r", pipeline="app/people", camera="gate", app_camera="gate", rule=rule, actions=("a",)
    )
    judge, begun_s, found, jumped = Judge(DEVICE, (plan,)), now_s(), [], False
    for batch in batches(seconds, x):
        if not jumped and now_s() - begun_s > 0.4:
            jump()
            jumped = True
        found += [now_s() - begun_s for _ in judge.judge(batch)]
    return found


def standing(_: float) -> float:
    return 0.5


def across(at_s: float) -> float:
    """Another one every 0.4 s, from the left to the right."""
    return at_s % 0.4 / 0.4


def dwell(jump: Callable[[], None], _: Path) -> bool:
    """Somebody who has stood there for a second is reported, once, then."""
    zone = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
    found = judged(Dwell(type="dwell", zone=zone, for_s=1.0, pipeline="people"), jump, 2.0, standing)
    return len(found) == 1 and 0.9 <= found[0] <= 1.6


def cooldown(jump: Callable[[], None], _: Path) -> bool:
    """Somebody crosses every 0.4 s, and is reported no more often than every second."""
    line = ((0.5, 0.0), (0.5, 1.0))
    rule = LineCrossed(type="line_crossed", line=line, direction="any", pipeline="people", cooldown_s=1.0)
    found = judged(rule, jump, 3.2, across)
    pauses = [later - earlier for earlier, later in pairwise(found)]
    return len(found) >= 2 and all(0.85 <= pause <= 2.2 for pause in pauses)


class Sent:
    """The way to the cloud."""

    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []

    def send(self, row: OutboxRow) -> None:
        self.rows.append(row)

    def send_tombstone(self, tombstone: CloudTombstone) -> None:
        raise AssertionError(tombstone)


def acknowledgement(jump: Callable[[], None], folder: Path) -> bool:
    """What the ledger has not acknowledged is sent again after its time, not before, and forgotten on its word."""
    uplink_module.RESEND_FIRST_S = 2.0  # type: ignore[misc]
    sent = Sent()
    with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
        outbox.commit("j", 1, {}, [new_alert(1, CLOUD_CHANNEL)])
        with closing(Uplink(outbox, sent)) as uplink:
            if not until(lambda: len(sent.rows) == 1, 3.0):
                return False
            jump()
            time.sleep(1.2)
            early = len(sent.rows) != 1
            again = until(lambda: len(sent.rows) == 2, 4.0)
            uplink.acknowledged(outbox.epoch, 1)
            return again and not early and until(lambda: outbox.channels() == [], 2.0)


BEHAVIOURS: Final[dict[str, Callable[[Callable[[], None], Path], bool]]] = {
    "timeouts": timeouts,
    "watchdogs": watchdogs,
    "backoff": backoff,
    "dwell": dwell,
    "cooldown": cooldown,
    "acknowledgement": acknowledgement,
}


@contextmanager
def guarded(answers: dict[str, bool]) -> Iterator[None]:
    """Whatever hangs ends with the program, and counts as a failure."""
    timer = threading.Timer(WEDGED_S * 4, lambda: finish(answers))
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def finish(answers: dict[str, bool]) -> None:
    os.write(1, json.dumps({name: answers.get(name, False) for name in JUMPS}).encode())
    os._exit(0)


def main() -> None:
    behaviour, folder, number = BEHAVIOURS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    answers: dict[str, bool] = {}
    for name, (before_s, after_s) in list(JUMPS.items())[:number]:
        turn(before_s)
        with guarded(answers):
            answers[name] = behaviour(lambda to_s=after_s: turn(to_s), Path(tempfile.mkdtemp(dir=folder)))  # type: ignore[misc]
    finish(answers)


if __name__ == "__main__":
    main()
