"""outbox → receivers: a thread for each, so that one that hangs delays no other."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import DeliveryError, VedetteError
from vedette.pipeline.lanes import Lanes
from vedette.ports.action import Action, AwayError, NotYetError, ReceiverBusyError
from vedette.ports.outbox import Outbox, OutboxRow

log = logging.getLogger(__name__)

#: First and longest pause after a failure; the pause doubles, and a random half of it is taken off.
RETRY_FIRST_S: Final = 0.25
RETRY_MAX_S: Final = 5.0
#: The queue is looked at this often even where nobody rang.
LOOK_S: Final = 1.0
STOP_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class DeliveryHealth:
    """How one receiver fares.

    Attributes:
        delivered: alerts it took since the start.
        failures: attempts that failed in a row.
        problem: the last failure, for people; empty where the last attempt went well.
    """

    delivered: int
    failures: int
    problem: str


class Delivery:
    """Delivers one channel until closed.

    Args:
        outbox: what waits.
        channel: whose queue.
        action: the receiver; closed with this.
        jitter: uniform random number 0..1.
    """

    def __init__(
        self, outbox: Outbox, channel: str, action: Action, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._outbox = outbox
        self.channel = channel
        self._action = action
        self._jitter = jitter
        self._lanes = Lanes(outbox, channel, action.batch, together=action.together)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._health = DeliveryHealth(0, 0, "")
        self._thread = threading.Thread(target=self._run, name=f"deliver-{channel}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def health(self) -> DeliveryHealth:
        """For the health report."""
        return self._health

    def stop(self) -> None:
        """Begin to stop; does not wait."""
        self._closing.set()
        self._wake.set()

    @property
    def ended(self) -> bool:
        """Whether it has stopped: it is in no call, and the outbox knows what it delivered."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop after the alert under way; idempotent."""
        self.stop()
        self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._wake.clear()
                pause_s = self._step()
                if pause_s is None:
                    self._wake.wait(LOOK_S)
                elif pause_s > 0:
                    self._closing.wait(pause_s)
        finally:
            self._action.close()

    def _step(self) -> float | None:
        """Deliver one batch. Returns how long to pause, None where there is nothing to do."""
        try:
            rows = self._lanes.pick()
            if not rows:
                return None
            return self._deliver(list(rows))
        except VedetteError as error:
            return self._failed(error.message, None)
        except Exception as error:  # the boundary of this thread: a receiver's fault must not end its deliveries
            log.exception("delivery to %s failed", self.channel)
            return self._failed(f"{type(error).__name__}: {error}", None)

    def _deliver(self, rows: list[OutboxRow]) -> float:
        done: list[int] = []
        begun_s = time.monotonic()
        failure: DeliveryError | None = None
        try:
            self._action.deliver(rows, lambda row: done.append(row.row_id))
        except DeliveryError as error:
            failure = error
        finally:
            if done:
                self._outbox.delivered(self.channel, done)
        if done:
            self._lanes.took(len(done), time.monotonic() - begun_s)
            self._health = DeliveryHealth(self._health.delivered + len(done), 0, "")
        if failure is None:
            return 0.0
        if isinstance(failure, NotYetError):
            return failure.again_s
        if not failure.retryable:
            self._outbox.refused(rows[len(done)], failure.message)
            return 0.0
        if isinstance(failure, AwayError):
            self._failed(failure.message, None)
            return 0.0
        return self._failed(failure.message, failure.retry_after_s if isinstance(failure, ReceiverBusyError) else None)

    def _failed(self, problem: str, retry_after_s: float | None) -> float:
        failures = self._health.failures + 1
        if problem != self._health.problem:
            log.warning("%s: %s", self.channel, problem)
        self._health = DeliveryHealth(self._health.delivered, failures, problem)
        pause_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 10))
        return max(retry_after_s or 0.0, pause_s * (1.0 - 0.5 * self._jitter()))
