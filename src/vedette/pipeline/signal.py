"""outbox → signals: something on the site is switched, at its moment where it has one.

Two threads for each channel. The one that *gives* knows only the queue of moments and the line, and never waits for a
disk. The one that *keeps the books* reads the outbox, finds out when each signal is due, and forgets in the outbox what
was given: a flush may take longer than two parts are apart.

Without ``after_s`` one row at a time is taken, in the order of the lanes, and is tried until the receiver has it. With
``after_s`` rows are read ahead and served in the order of their moments; one whose moment has passed by more than
``late_s`` becomes a dead letter (V505). A row leaves the outbox after the receiver has confirmed its signal, so a
process that is killed in between finds it again; with ``after_s`` it is then too late for a repeat, unless the next
process is there within ``late_s``.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import DeliveryError
from vedette.core.signals import Give, GiveUp, Rest, SignalQueue, Timing, Wait
from vedette.pipeline.deliver import LOOK_S, RETRY_FIRST_S, RETRY_MAX_S, STOP_WAIT_S, DeliveryHealth
from vedette.pipeline.lanes import Lanes
from vedette.pipeline.pictures import PictureTimes
from vedette.ports.action import ReceiverBusyError
from vedette.ports.outbox import Outbox, OutboxRow
from vedette.ports.signal import Line

log = logging.getLogger(__name__)

#: Rows with a moment that are read ahead at most; later ones wait in the outbox.
AHEAD: Final = 1_000
#: Rows read, or given up, in one go.
STEP_ROWS: Final = 200
#: First and longest pause before a signal with a moment is tried again. The very first repeat is at once: a connection
#: that was closed at the other end is noticed only by using it.
TIMED_RETRY_S: Final = (0.02, 0.25)
#: The line is prepared while there is at least this much time before the next signal.
PREPARE_S: Final = 0.03
#: When the process ends, a pulse that ends within this time is waited for; a longer one is cut short.
STOP_PULSE_S: Final = 2.0
#: Failures after which the line is certainly as it was before.
NOTHING_HAPPENED: Final = frozenset({"V504", "V506"})
#: Putting the line at rest is tried for so long at the end; the next process mends what is left.
STOP_REST_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class _Settled:
    """What became of a row: given, or not and why."""

    row: OutboxRow
    seconds: float = 0.0
    refusal: str = ""


class SignalDelivery:
    """Gives the signals of one channel until closed.

    Args:
        outbox: what waits.
        channel: whose queue.
        line: what is switched; closed with this.
        timing: when, and for how long.
        pictures: when the pictures were taken.
        jitter: uniform random number 0..1.
    """

    def __init__(
        self,
        outbox: Outbox,
        channel: str,
        line: Line,
        timing: Timing,
        pictures: PictureTimes,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self.channel = channel
        self._line = line
        self._timing = timing
        self._pictures = pictures
        self._jitter = jitter
        self._lanes = Lanes(outbox, channel, 1)
        self._changed = threading.Condition()  # guards everything below that both threads touch
        self._queue = SignalQueue(timing)
        self._rows: dict[int, OutboxRow] = {}
        self._settled: deque[_Settled] = deque()
        self._closing = False
        self._gave_last = False
        self._seen = -1  # fresh rows are read from here on; below, from the other one up to its end
        self._old_seen = self._old_through = 0
        self._failures = 0
        self._prepared_until_s = -math.inf
        self._health = DeliveryHealth(0, 0, "")
        self._wake = threading.Event()
        self._books = threading.Thread(target=self._keep_books, name=f"books-{channel}", daemon=True)
        self._giver = threading.Thread(target=self._give_all, name=f"signal-{channel}", daemon=True)
        self._giver.start()
        self._books.start()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def health(self) -> DeliveryHealth:
        """For the health report."""
        return self._health

    def stop(self) -> None:
        """Begin to stop; does not wait."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether it has stopped: it gives nothing, and the outbox knows what it gave."""
        return not self._giver.is_alive() and not self._books.is_alive()

    def close(self) -> None:
        """Give no further signal, put the line at rest, forget what was given; idempotent."""
        self.stop()
        self._giver.join(STOP_WAIT_S)
        self._wake.set()
        self._books.join(1.0)

    # -- the thread that keeps the books ------------------------------------------------------------------------------

    def _keep_books(self) -> None:
        while True:
            self._wake.clear()  # before the look at what it tells of
            if self._gave_last:
                break
            more = False
            try:
                self._settle()
                more = not self._closing and (self._feed_timed() if self._is_timed else self._feed_next())
            except Exception as error:  # the boundary of this thread: a full disk must not end the signals
                log.exception("signals of %s: the outbox failed", self.channel)
                self._health = DeliveryHealth(self._health.delivered, self._failures, f"outbox: {error}")
            if not more:
                self._wake.wait(LOOK_S)
        self._settle()

    @property
    def _is_timed(self) -> bool:
        return self._timing.after_s is not None

    def _settle(self) -> None:
        """Tell the outbox what became of rows; they stay in ``_rows`` until it knows."""
        settled = list(self._settled)
        given = [one.row for one in settled if not one.refusal]
        refused = [(one.row, one.refusal) for one in settled if one.refusal]
        if given:
            self._outbox.delivered(self.channel, [row.row_id for row in given])
            self._lanes.took(len(given), sum(one.seconds for one in settled))
        if refused:
            self._outbox.give_up(refused)
        with self._changed:
            for one in settled:
                self._settled.popleft()
                self._rows.pop(one.row.row_id, None)

    def _feed_next(self) -> bool:
        """One row, once the one before is settled. Whether to look again at once."""
        if self._rows:
            return False
        rows = self._lanes.pick()
        now_s = time.monotonic()
        with self._changed:
            for row in rows:
                self._rows[row.row_id] = row
                self._queue.add(row.row_id, now_s)
            self._changed.notify_all()
        return False

    def _feed_timed(self) -> bool:
        """Rows that were not seen yet, with their moments. Whether there may be more."""
        room = min(STEP_ROWS, AHEAD - len(self._rows))
        if room <= 0:
            return False
        if self._seen < 0:  # what an outage left is mostly too late: the newest go first
            self._seen = self._old_through = max(0, self._outbox.newest(self.channel) - STEP_ROWS)
        rows = self._outbox.rows(self.channel, self._seen, None, room)
        if rows:
            self._seen = rows[-1].row_id
        elif self._old_seen < self._old_through:
            rows = self._outbox.rows(self.channel, self._old_seen, self._old_through, room)
            self._old_seen = rows[-1].row_id if rows else self._old_through
        self._schedule(rows)
        return bool(rows)

    def _schedule(self, rows: Sequence[OutboxRow]) -> None:
        assert self._timing.after_s is not None
        missed: list[tuple[OutboxRow, str]] = []
        coming: list[tuple[OutboxRow, float]] = []
        for row in rows:
            taken_s = self._pictures.taken_s(row)
            late_by_s = math.nan if taken_s is None else time.monotonic() - taken_s - self._timing.after_s
            if taken_s is None:
                missed.append((row, "V505 not given: the clock was set, the moment of its picture is not known"))
            elif late_by_s > self._timing.late_s:
                missed.append((row, self._too_late(late_by_s)))
            else:
                coming.append((row, taken_s + self._timing.after_s))
        with self._changed:
            for row, due_s in coming:
                self._rows[row.row_id] = row
                self._queue.add(row.row_id, due_s)
            self._changed.notify_all()
        if missed:
            self._outbox.give_up(missed)
            self._say(missed[-1][1])

    def _too_late(self, late_by_s: float) -> str:
        cause = f"; {self._health.problem}" if self._failures else ""
        return f"V505 not given: {late_by_s:.3f} s late, {self._timing.late_s:g} s are allowed{cause}"

    # -- the thread that gives ----------------------------------------------------------------------------------------

    def _give_all(self) -> None:
        try:
            self._guarded(self._begin)
            while not self._closing:
                self._guarded(self._step)
            self._guarded(self._finish)
        finally:
            self._guarded(self._line.close)
            self._gave_last = True
            self._wake.set()

    def _guarded(self, work: Callable[[], None]) -> None:
        """The boundary of this thread: a line's fault must not end its signals."""
        try:
            work()
        except Exception as error:
            log.exception("signal %s failed", self.channel)
            self._say(f"{type(error).__name__}: {error}")
            with self._changed:
                self._changed.wait(RETRY_FIRST_S)

    def _begin(self) -> None:
        """Have the line ready, and at rest: a process that was killed may have left it on.

        Signals that come meanwhile go ahead.
        """
        if self._timing.pulse_s is None:
            self._prepare()
            return
        while not self._closing:
            try:
                self._line.mend()
                return
            except DeliveryError as error:
                pause_s = self._failed(error)
            with self._changed:
                if len(self._queue) or self._closing:
                    self._queue.not_given(-math.inf, 0.0, in_doubt=True)  # it counts as on: the first pulse mends it
                    return
                self._changed.wait(pause_s)

    def _step(self) -> None:
        with self._changed:
            now_s = time.monotonic()
            step = self._queue.next(now_s)
            if isinstance(step, Wait):
                if step.until_s - now_s < PREPARE_S or not self._prepare_soon():
                    self._changed.wait(min(step.until_s - now_s, LOOK_S))
                    return
            elif isinstance(step, GiveUp):
                self._settled.append(_Settled(self._rows[step.key], refusal=self._too_late(step.late_by_s)))
                self._say(self._settled[-1].refusal)
                self._wake.set()
                return
        if isinstance(step, Wait):
            self._prepare()
        elif isinstance(step, Give):
            self._give(step)
        else:
            assert isinstance(step, Rest)
            self._rest()

    def _prepare_soon(self) -> bool:
        """Whether it is time to prepare the line for a signal that waits for its moment."""
        return self._is_timed and len(self._queue) > 0 and self._prepared_until_s <= time.monotonic()

    def _prepare(self) -> None:
        try:
            self._line.prepare()
            self._prepared_until_s = time.monotonic() + LOOK_S
        except DeliveryError as error:
            pause_s = self._failed(error)
            self._prepared_until_s = time.monotonic() + pause_s
            if isinstance(error, ReceiverBusyError):  # an account is locked by what is tried at every moment
                with self._changed:
                    self._queue.not_given(time.monotonic(), pause_s, in_doubt=False)

    def _give(self, step: Give) -> None:
        row = self._rows[step.key]
        try:
            self._line.prepare()
            # Preparing may have taken long: the queue decides anew before anything is sent.
            if self._is_timed and time.monotonic() - step.due_s > self._timing.late_s:
                return
        except DeliveryError as error:
            self._not_given(row, error, in_doubt=False)
            return
        begun_s = time.monotonic()
        try:
            self._line.on(row)
        except DeliveryError as error:
            self._not_given(row, error, in_doubt=error.code not in NOTHING_HAPPENED)
            return
        with self._changed:
            self._queue.given(time.monotonic())
            self._settled.append(_Settled(row, time.monotonic() - begun_s))
        self._failures = 0
        self._health = DeliveryHealth(self._health.delivered + 1, 0, "")
        self._wake.set()

    def _not_given(self, row: OutboxRow, error: DeliveryError, *, in_doubt: bool) -> None:
        pause_s = self._failed(error)
        self._prepared_until_s = time.monotonic() + pause_s
        with self._changed:
            if error.retryable:
                self._queue.not_given(time.monotonic(), pause_s, in_doubt=in_doubt)
                return
            self._queue.refused(time.monotonic(), in_doubt=in_doubt)
            self._settled.append(_Settled(row, refusal=f"{error.code} {error.message}"))
        self._wake.set()

    def _rest(self) -> None:
        try:
            self._line.prepare()
            self._line.off()
        except DeliveryError as error:
            pause_s = self._failed(error)
            if error.retryable:
                with self._changed:
                    self._queue.not_rested(time.monotonic(), pause_s)
                return
        else:
            self._failures = 0
        with self._changed:
            self._queue.rested(time.monotonic())

    def _finish(self) -> None:
        """A pulse under way ends in its time where that is near, else now."""
        end_s = self._queue.pulse_end_s
        if end_s is None:
            return
        begun_s = time.monotonic()
        if 0 < end_s - begun_s <= STOP_PULSE_S:
            time.sleep(end_s - begun_s)
        limit_s = time.monotonic() + STOP_REST_S
        while self._queue.pulse_end_s is not None and time.monotonic() < limit_s:
            self._rest()
            if self._queue.pulse_end_s is not None:
                time.sleep(TIMED_RETRY_S[0])

    def _failed(self, error: DeliveryError) -> float:
        """Note a failure; how long to pause."""
        self._failures += 1
        self._say(error.message)
        if isinstance(error, ReceiverBusyError):
            return error.retry_after_s
        if self._failures == 1:
            return 0.0
        first_s, longest_s = TIMED_RETRY_S if self._is_timed else (RETRY_FIRST_S, RETRY_MAX_S)
        return min(longest_s, first_s * 2.0 ** min(self._failures - 2, 10)) * (1.0 - 0.5 * self._jitter())

    def _say(self, problem: str) -> None:
        if problem != self._health.problem:
            log.warning("%s: %s", self.channel, problem)
        self._health = DeliveryHealth(self._health.delivered, self._failures, problem)
