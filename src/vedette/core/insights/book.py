"""All insights of a device, fed batch by batch."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.insight import InsightReport
from vedette.contracts.plan import InsightPlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.insights.stream import StreamInsights
from vedette.core.rules.clock import FORGET_S

_LOG = logging.getLogger(__name__)

STATE_VERSION: Final = 1
#: Streams of insights that are not here whose state is kept, at most.
MAX_PARKED: Final = 64


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report and where it goes.

    Attributes:
        report: the figures.
        to_cloud: whether the owner's account gets it.
        to_file: file that gets it, as the manifest names it; None for none.
    """

    report: InsightReport
    to_cloud: bool
    to_file: str | None


class InsightBook:
    """Turns track batches into reports; pure, so that the same batches give the same reports.

    Args:
        device: IoT thing name of the device, part of every report's id.
        plans: what to sum up.

    Raises:
        ValueError: an insight is there twice for a camera.
    """

    def __init__(self, device: str, plans: Sequence[InsightPlan]) -> None:
        routes: dict[tuple[str, str], list[InsightPlan]] = {}
        for plan in plans:
            routes.setdefault((plan.pipeline, plan.camera), []).append(plan)
        self._device = device
        self._plans = routes
        self._streams = {route: StreamInsights(device, together) for route, together in routes.items()}
        self._parked: list[tuple[str, str, Mapping[str, Any]]] = []

    def take(self, batch: TrackBatch) -> list[NewReport]:
        """Sum up one batch; reports of intervals that ended before it.

        A batch of a pipeline or camera without insights gives nothing, nor does one that was had before.
        """
        stream = self._streams.get((batch.pipeline, batch.frame.camera))
        return [] if stream is None else _addressed(stream, stream.take(batch))

    def expire(self, now_s: float) -> list[NewReport]:
        """Reports of intervals that ended so long before this Unix time that no picture of theirs can come.

        To be called only where no batch waits to be taken.
        """
        return [new for stream in self._streams.values() for new in _addressed(stream, stream.expire(now_s))]

    def finish(self) -> list[NewReport]:
        """Reports of the intervals going on, for streams that are over."""
        return [new for stream in self._streams.values() for new in _addressed(stream, stream.finish())]

    def state(self) -> dict[str, Any]:
        """All that future reports depend on, as JSON; to be committed together with the cursor."""
        return {
            "version": STATE_VERSION,
            "streams": [
                *(list(entry) for entry in self._still_parked()),
                *([*route, stream.state()] for route, stream in self._streams.items()),
            ],
        }

    def restore(self, state: Any) -> None:
        """Go on from ``state()``, also of a book with other insights.

        An insight that is defined as it was keeps its state; others start fresh, and so does what cannot be read. The
        state of insights that are not here is kept for a minute of the other streams' time, so that an application
        that is replaced or started again goes on. Nothing raises: a minute that is incomplete is better than a device
        that does not start.
        """
        if not state:
            return
        if not isinstance(state, Mapping) or state.get("version") != STATE_VERSION:
            _LOG.warning("all insights start fresh: their saved state is not of a version this release reads")
            return
        for pipeline, camera, saved in _entries(state.get("streams")):
            stream = self._streams.get((pipeline, camera))
            if stream is None:
                self._parked = [*self._parked, (pipeline, camera, saved)][-MAX_PARKED:]
                continue
            try:
                stream.restore(saved)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                _LOG.warning("insights of %s start fresh: their saved state cannot be read (%s)", pipeline, error)
                self._streams[pipeline, camera] = StreamInsights(self._device, self._plans[pipeline, camera])

    def _still_parked(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """What is kept of streams that are not here, without those that would have forgotten the scene by now."""
        seen = [stream.last_wall_s for stream in self._streams.values()]
        now_s = max((wall_s for wall_s in seen if wall_s is not None), default=None)
        if now_s is not None:
            self._parked = [entry for entry in self._parked if abs(now_s - last_wall_s(entry[2])) <= FORGET_S]
        return self._parked


def last_wall_s(state: Mapping[str, Any]) -> float:
    """Unix time of the last picture a stream has seen, by its state; NaN where that cannot be read."""
    try:
        return float(state["clock"][3])
    except (KeyError, TypeError, ValueError, IndexError):
        return math.nan


def _entries(streams: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What can be read of the saved streams."""
    for entry in streams if isinstance(streams, list) else ():
        if isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], Mapping):
            yield str(entry[0]), str(entry[1]), entry[2]


def _addressed(stream: StreamInsights, reports: list[InsightReport]) -> list[NewReport]:
    return [NewReport(report, stream.plan.to_cloud, stream.plan.to_file) for report in reports]
