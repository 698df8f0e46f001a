"""outbox → cloud: published in order, forgotten only when the ledger says that it has them.

What was published and not acknowledged is published again after 30 s, then after twice as long each time up to five
minutes. So much may be on its way at a time; while a long backlog drains, the newest alerts go ahead of it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from vedette.contracts.alert import CloudTombstone
from vedette.contracts.errors import VedetteError
from vedette.pipeline.deliver import RETRY_FIRST_S, STOP_WAIT_S, DeliveryHealth
from vedette.ports.outbox import CLOUD_CHANNEL, Outbox, OutboxRow

log = logging.getLogger(__name__)

#: Longest pause after a failure: the nucleus is on this machine, and asking it costs a millisecond.
RETRY_MAX_S: Final = 1.5
RESEND_FIRST_S: Final = 30.0
RESEND_MAX_S: Final = 300.0
#: Published and not acknowledged, at most: of the sequence, and of alerts that went ahead of it.
IN_FLIGHT: Final = 200
AHEAD: Final = 50
#: More rows than this waiting are a backlog.
BACKLOG: Final = 500
STEP_ROWS: Final = 50
TOMBSTONES: Final = 50
LOOK_S: Final = 1.0


class Link(Protocol):
    """The device's side of the ledger's protocol."""

    def send(self, row: OutboxRow) -> None:
        """Publish one alert; raises DeliveryError."""
        ...

    def send_tombstone(self, tombstone: CloudTombstone) -> None:
        """Publish that numbers will never come; raises DeliveryError."""
        ...


@dataclass(slots=True)
class _Sent:
    """Something published: when it is due again."""

    due_s: float
    interval_s: float

    def again(self, now_s: float) -> None:
        self.interval_s = min(self.interval_s * 2, RESEND_MAX_S)
        self.due_s = now_s + self.interval_s


class Uplink:
    """Keeps the cloud up to date until closed.

    Args:
        outbox: what waits.
        link: the way there.
        monotonic: clock of all intervals.
        start: whether to run in a thread of its own; tests call ``step``.
    """

    def __init__(
        self,
        outbox: Outbox,
        link: Link,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        start: bool = True,
    ) -> None:
        self._outbox = outbox
        self._link = link
        self._monotonic = monotonic
        self._jitter = jitter
        self._epoch = outbox.epoch
        self._sent: dict[int, _Sent] = {}
        self._stones: dict[tuple[int, int], _Sent] = {}
        self._through = 0  # row id up to which the sequence was published since the start
        self._lock = threading.Lock()
        self._acked: dict[str, int] = {}
        self._health = DeliveryHealth(0, 0, "")
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        if start:
            self._thread.start()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def acknowledged(self, epoch: str, through_seq: int) -> None:
        """The ledger has spoken; may be called from any thread."""
        with self._lock:
            if epoch == self._epoch:
                self._acked[epoch] = max(through_seq, self._acked.get(epoch, 0))
        self._wake.set()

    def health(self) -> DeliveryHealth:
        """For the health report."""
        return self._health

    def close(self) -> None:
        """Stop; idempotent."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WAIT_S)

    def step(self) -> float:
        """Take acknowledgements in and publish what is due. Returns how long to pause, 0 where there is more to do."""
        self._take_acknowledgements()
        if self._outbox.epoch != self._epoch:  # the file was damaged and rebuilt: everything counts anew
            self._epoch = self._outbox.epoch
            self._sent.clear()
            self._stones.clear()
            self._through = 0
        try:
            more = self._publish()
        except VedetteError as error:
            return self._failed(error.message)
        if self._health.failures:
            self._health = DeliveryHealth(self._health.delivered, 0, "")
        return 0.0 if more else LOOK_S

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            try:
                pause_s = self.step()
            except Exception as error:  # the boundary of this thread
                log.exception("uplink failed")
                pause_s = self._failed(f"{type(error).__name__}: {error}")
            if self._health.failures:
                self._closing.wait(pause_s)
            elif pause_s:
                self._wake.wait(pause_s)

    def _take_acknowledgements(self) -> None:
        with self._lock:
            acked, self._acked = self._acked, {}
        for epoch, through_seq in acked.items():
            freed = self._outbox.acknowledge(epoch, through_seq)
            if freed:
                self._health = DeliveryHealth(self._health.delivered + freed, 0, "")
            oldest = self._outbox.rows(CLOUD_CHANNEL, 0, None, 1)
            first = oldest[0].row_id if oldest else None
            self._sent = {row_id: sent for row_id, sent in self._sent.items() if first is not None and row_id >= first}
            self._stones = {key: sent for key, sent in self._stones.items() if key[1] > through_seq}

    def _publish(self) -> bool:
        """Publish a step's worth; whether there is more at once."""
        more = self._publish_ahead()
        more |= self._publish_sequence()
        self._publish_tombstones()
        self._publish_again()
        return more

    def _publish_sequence(self) -> bool:
        room = min(STEP_ROWS, IN_FLIGHT - sum(row_id <= self._through for row_id in self._sent))
        if room <= 0:
            return False
        rows = self._outbox.rows(CLOUD_CHANNEL, self._through, None, room)
        for row in rows:
            if row.row_id not in self._sent:
                self._send(row)
            self._through = row.row_id
        return len(rows) == room

    def _publish_ahead(self) -> bool:
        """The newest alerts, where the sequence has a long way to go until it comes to them."""
        if self._outbox.count(CLOUD_CHANNEL, self._through, BACKLOG + 1) <= BACKLOG:
            return False
        newest = self._outbox.newest(CLOUD_CHANNEL)
        ahead = [row_id for row_id in self._sent if row_id > self._through]
        last = max(ahead, default=newest - 1)
        rows = self._outbox.rows(CLOUD_CHANNEL, last, None, max(0, AHEAD - len(ahead)))
        for row in rows:
            self._send(row)
        return bool(rows)

    def _publish_tombstones(self) -> None:
        now_s = self._monotonic()
        stones = {(stone.from_seq, stone.through_seq): stone for stone in self._outbox.tombstones(TOMBSTONES)}
        self._stones = {key: sent for key, sent in self._stones.items() if key in stones}
        for key, stone in stones.items():
            sent = self._stones.get(key)
            if sent is None or sent.due_s <= now_s:
                self._link.send_tombstone(stone)
                if sent is None:
                    self._stones[key] = _Sent(now_s + RESEND_FIRST_S, RESEND_FIRST_S)
                else:
                    sent.again(now_s)

    def _publish_again(self) -> None:
        now_s = self._monotonic()
        due = sorted(row_id for row_id, sent in self._sent.items() if sent.due_s <= now_s)[:STEP_ROWS]
        for row_id in due:
            rows = self._outbox.rows(CLOUD_CHANNEL, row_id - 1, row_id, 1)
            if not rows:  # evicted: a tombstone tells
                del self._sent[row_id]
                continue
            self._link.send(rows[0])
            self._sent[row_id].again(now_s)

    def _send(self, row: OutboxRow) -> None:
        self._link.send(row)
        self._sent[row.row_id] = _Sent(self._monotonic() + RESEND_FIRST_S, RESEND_FIRST_S)

    def _failed(self, problem: str) -> float:
        failures = self._health.failures + 1
        if problem != self._health.problem:
            log.warning("uplink: %s", problem)
        self._health = DeliveryHealth(self._health.delivered, failures, problem)
        pause_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 10))
        return pause_s * (1.0 - 0.5 * self._jitter())
