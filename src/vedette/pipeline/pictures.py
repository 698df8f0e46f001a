"""When the pictures of alerts were taken, by the clock that nobody sets.

An alert carries the time of day of its picture, and the clock that says it may be set at any moment. What is timed from
the picture needs the monotonic clock. The journal has both for every live picture (``FrameInfo.t_s`` and ``wall_s``,
read at the same instant by the camera's process), so the judge notes the monotonic time of an alert's picture before
the alert is committed, and no later step of the clock matters. Of alerts that were committed before this process began
nothing is noted; their time is taken from the time of day as it stands when they are first looked at.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from vedette.contracts.alert import Alert
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.tracks import TrackBatch
from vedette.ports.outbox import OutboxRow

#: Alerts remembered at most, about 100 bytes each.
KNOWN: Final = 4_096
#: A picture cannot be of the future; clocks read one after the other may differ by this much.
FUTURE_S: Final = 0.05


class PictureTimes:
    """Monotonic times of pictures by ``alert_id``. Safe to call from several threads.

    Args:
        monotonic: seconds.
        wall_s: Unix time.
    """

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._wall_s = wall_s
        self._begun_s = monotonic()
        self._lock = threading.Lock()
        self._known: dict[str, float] = {}

    def note(self, alert: Alert, raised_by: TrackBatch | HookEvent) -> None:
        """An alert was judged.

        Args:
            alert: with the Unix time of its picture.
            raised_by: what raised it: a batch of the same picture or of a later one, or what a hook raised about it.
        """
        t_s, wall_s = _times(raised_by)
        if t_s is None:
            return
        # What was taken before this process began may be of another boot, whose monotonic clock was another.
        if self._begun_s <= t_s <= self._monotonic() + FUTURE_S:
            with self._lock:
                self._known[alert.alert_id] = t_s - (wall_s - alert.time.timestamp())
                if len(self._known) > KNOWN:
                    del self._known[next(iter(self._known))]

    def taken_s(self, row: OutboxRow) -> float | None:
        """Monotonic time at which the alert's picture was taken; to be asked once per row and receiver.

        Returns:
            None where it cannot be known: the picture would be of the future, so the clock was set in between.
        """
        with self._lock:
            known = self._known.get(row.alert_id)
        if known is not None:
            return known
        age_s = self._wall_s() - datetime.fromisoformat(json.loads(row.body)["time"]).timestamp()
        return None if age_s < -FUTURE_S else self._monotonic() - age_s


def _times(raised_by: TrackBatch | HookEvent) -> tuple[float | None, float]:
    """Monotonic and Unix time of a picture; no monotonic time where there is no picture."""
    if isinstance(raised_by, HookEvent):
        return raised_by.t_s, raised_by.wall_s
    return raised_by.frame.t_s, raised_by.frame.wall_s
