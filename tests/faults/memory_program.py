"""Pictures or alerts through what handles them on a device, in one process that says what it holds.

``python -m tests.faults.memory_program KIND FOLDER CYCLES SECONDS LEAK``: ends after so many cycles, or so many
seconds where that is sooner; ``LEAK`` bytes are kept of each. Says ``CYCLES KB`` now and then.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from tests.alerting.scene import plan as watched
from tests.engines.pictures import picture
from tests.faults.alerts import new_alert, number_of
from tests.faults.memory import held_kb
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.adapters.frames import FrameStoreClient, FrameStoreWriter
from vedette.adapters.journal.retention import JournalRetention
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import Alert
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Model, ModelFamily, Tracker
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.pipeline.deliver import Delivery
from vedette.pipeline.detect import DetectLoop
from vedette.pipeline.judge import JudgeLoop
from vedette.pipeline.look import Looker
from vedette.pipeline.track import PipelineTracker
from vedette.ports.outbox import OutboxRow
from vedette.testing import models

CHANNEL: Final = "app/file"
LABELS: Final = ("person", "other")
SIZE_PX: Final = 64
#: Pictures of one visit, most of which somebody is in: each is a track of its own and an alert.
VISIT: Final = 200
SEEN: Final = 40
#: Alerts committed together; cycles from one sample to the next.
GROUP: Final = 50
SAMPLE_EVERY: Final = 500
#: Alerts that may wait for their receiver, so that the queue is not what grows.
WAITING: Final = 1_000
#: Pages of files that SQLite keeps at hand are full after so many, and what grows ever more slowly has grown: between 8,000
#: pictures and 48,000 each 8,000 added 32, 18, 13, 7 and 4 kB to the heap. What is kept later is a leak.
WARM_UP: Final = {"alerts": 50_000, "pictures": 40_000}
JOURNAL_BYTES: Final = 2 << 20
TRIM_EVERY: Final = 1_000


class Receiver:
    """Takes alerts and keeps none; only how many there were, and how many came twice or out of their order."""

    batch = 100
    together = True

    def __init__(self) -> None:
        self.taken = self.wrong = 0
        self.changed = threading.Condition()

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        for row in rows:
            self.wrong += number_of(Alert.model_validate_json(row.body).media_time_s) != self.taken
            self.taken += 1
            done(row)
        with self.changed:
            self.changed.notify_all()

    def until(self, taken: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.taken >= taken, 60), (self.taken, taken)

    def close(self) -> None: ...


class Journal(SqliteJournalWriter):
    """The journal, which lets a picture's batch be waited for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.came = threading.Semaphore(0)

    def append(self, batch: TrackBatch) -> None:
        super().append(batch)
        self.came.release()


class Alerts:
    """An outbox that delivers to one receiver."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.outbox = stack.enter_context(closing(SqliteOutbox(folder / "outbox.db")))
        self.receiver = Receiver()
        self.delivery = stack.enter_context(closing(Delivery(self.outbox, CHANNEL, self.receiver)))

    def commit(self, first: int) -> None:
        """A group of them; waits while too many wait."""
        group = [new_alert(number, CHANNEL) for number in range(first, first + GROUP)]
        self.outbox.commit("j", first, {}, group)
        self.delivery.wake()
        self.receiver.until(first + GROUP - WAITING)


def alerts(folder: Path, cycles: int, stack: ExitStack) -> Iterator[None]:
    """outbox → delivery → receiver, an alert a cycle."""
    site = Alerts(folder, stack)
    for first in range(0, cycles, GROUP):
        site.commit(first)
        for _ in range(GROUP):
            yield
    site.receiver.until(cycles)
    assert not site.receiver.wrong


class Pictures:
    """One camera's ring, model, tracker, journal, rules, outbox and delivery."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._path = folder / "journal.db"
        self.store = FrameStoreWriter(folder / "gate.sock", "gate")
        stack.callback(self.store.close)
        self.journal = stack.enter_context(closing(Journal(self._path)))
        reader = stack.enter_context(closing(SqliteJournalReader(self._path)))
        self.alerts = Alerts(folder, stack)
        for first in range(0, WARM_UP["alerts"], GROUP):
            self.alerts.commit(first)
        self.judge = JudgeLoop("device", reader, self.alerts.outbox, lambda _: self.alerts.delivery.wake())
        self.judge.set_plan(watched(["gate"]))
        self._retention = JournalRetention(self._path, max_age_s=3600.0, max_bytes=JOURNAL_BYTES)
        model = Model(family=ModelFamily.YOLOX, file="tiny.onnx", labels=LABELS)
        looker = Looker(OnnxDetector(models.bright_rectangle(size=(SIZE_PX, SIZE_PX)), model))
        loop = DetectLoop(
            looker,
            self.journal,
            lambda camera: FrameStoreClient(folder / f"{camera}.sock"),
            lambda plan: PipelineTracker(plan, LABELS),
            threads=1,
        )
        loop.set_pipelines(
            [
                PipelinePlan(
                    application="app",
                    pipeline="people",
                    camera="gate",
                    app_camera="gate",
                    fps=1000.0,
                    tracker=Tracker(),
                )
            ]
        )
        loop.start()
        stack.callback(loop.close)
        limit_s = time.monotonic() + 20
        while not loop.figures()["gate"].attached:
            assert time.monotonic() < limit_s
            time.sleep(0.01)

    def trim(self) -> None:
        """As the alerting component does every two seconds."""
        identity, cursor = self.judge.position
        while self._retention.step(identity, cursor, time.time()).more:
            continue


def pictures(folder: Path, cycles: int, stack: ExitStack) -> Iterator[None]:
    """ring → model → tracker → journal → rules → outbox → delivery, a picture a cycle."""
    site = Pictures(folder, stack)
    for number in range(cycles):
        phase = number % VISIT
        left = phase + 2
        shown = picture(SIZE_PX, SIZE_PX, (left, 20, left + 16, 50) if phase < SEEN else None)
        t_s = number * 0.1
        site.store.publish(FrameInfo("gate", "e", number, t_s, t_s, time.time(), SIZE_PX, SIZE_PX), shown)
        assert site.journal.came.acquire(timeout=20), f"nothing came of picture {number}"
        if phase == VISIT - 1:
            while site.judge.step(0.0):
                continue
        if number % TRIM_EVERY == TRIM_EVERY - 1:
            site.trim()
        yield
    site.alerts.receiver.until(WARM_UP["alerts"] + int(0.9 * (cycles // VISIT)))


def main(kind: str, folder: str, cycles: str, seconds: str, leak: str) -> None:
    """Run, and say what is held."""
    logging.basicConfig(level=logging.ERROR)
    kept: list[bytes] = []
    warm_up = WARM_UP[kind]
    until_s = math.inf
    with ExitStack() as stack:
        work = {"alerts": alerts, "pictures": pictures}[kind](Path(folder), warm_up + int(cycles), stack)
        for done, _ in enumerate(work, -warm_up):
            if done == 0:
                until_s = time.monotonic() + float(seconds)
            if int(leak):
                kept.append(bytes(int(leak)))
            if done >= 0 and done % SAMPLE_EVERY == 0:
                print(done, held_kb(["self"]), flush=True)
                if time.monotonic() > until_s:
                    return


if __name__ == "__main__":
    main(*sys.argv[1:])
