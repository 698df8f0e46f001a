"""Which rows of a queue go next: fresh alerts ahead of a backlog, each lane in the order of judging.

A queue that can be worked off within two seconds is worked off in order. Where it is longer, what waits now becomes
the backlog, and what comes from now on overtakes it; every fourth turn is the backlog's, so that a receiver that is
always too slow still gets on with it. Order within a lane, and therefore per camera within a lane, never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vedette.ports.outbox import Outbox, OutboxRow

#: A fresh alert waits no longer than this for older ones.
OVERTAKE_S: Final = 2.0
#: A batch is at most this long, because nothing overtakes within it.
BATCH_S: Final = 0.5
#: Time of one row before anything was measured (a receiver counts as quick), and how fast the measure follows.
FIRST_ROW_S: Final = 0.002
SMOOTHING: Final = 0.2
#: Rows at a time from which a measure counts in full: of fewer, most is the way there and back and the flush.
TELLING_ROWS: Final = 16
BACKLOG_TURN: Final = 4
#: Rows counted at most.
MAX_COUNTED: Final = 20_000


class Lanes:
    """The two lanes of one channel. For one thread.

    Args:
        outbox: what waits.
        channel: whose queue.
        max_batch: rows the receiver takes at a time.
        together: whether so many rows take no longer than one.
    """

    def __init__(self, outbox: Outbox, channel: str, max_batch: int, *, together: bool = False) -> None:
        self._outbox = outbox
        self._channel = channel
        self._max_batch = max_batch
        self._together = together
        self._row_s = FIRST_ROW_S
        self._turn = 0
        self.backlog_through = 0

    def pick(self) -> Sequence[OutboxRow]:
        """The rows to deliver next; none where nothing waits."""
        self._divide()
        limit = self._max_batch if self._together else max(1, min(self._max_batch, int(BATCH_S / self._row_s)))
        fresh = self._outbox.rows(self._channel, self.backlog_through, None, limit)
        if not self.backlog_through:
            return fresh
        self._turn += 1
        if fresh and self._turn % BACKLOG_TURN:
            return fresh
        backlog = self._outbox.rows(self._channel, 0, self.backlog_through, limit)
        if not backlog:
            self.backlog_through = 0
        return backlog or fresh

    def took(self, rows: int, seconds: float) -> None:
        """Learn how fast the receiver is."""
        if rows:
            weight = SMOOTHING * min(1.0, rows / min(TELLING_ROWS, self._max_batch))
            self._row_s += weight * (max(seconds, 1e-6) / rows - self._row_s)

    def _divide(self) -> None:
        quick = max(1, min(MAX_COUNTED, int(OVERTAKE_S / self._row_s)))
        if self.backlog_through and self._outbox.count(self._channel, 0, quick + 1) <= quick:
            self.backlog_through = 0
        if self._outbox.count(self._channel, self.backlog_through, quick + 1) > quick:
            newest = self._outbox.newest(self._channel)
            # Where there is a backlog already the receiver does not keep up: what is newest must stay fresh, or
            # nothing ever is. Row ids of one channel are nearly consecutive.
            self.backlog_through = max(self.backlog_through, newest - quick) if self.backlog_through else newest
