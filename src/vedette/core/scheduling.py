"""When a camera's next picture is due, and whose turn it is. Pure: time comes in, decisions go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

#: Share of the interval by which a picture may come early and still count: camera clocks are not exact.
EARLY_SHARE: Final = 0.25


class Pacer:
    """Takes pictures at a rate from a stream of another rate, without drift and without catching up.

    Due times lie on a grid of ``1 / fps`` seconds. A picture up to a quarter of an interval early is taken, so that
    a camera with jitter is not sampled at half its rate; the grid stays, so that the long-run rate is not exceeded.
    After a pause the grid starts anew at the picture taken.
    """

    __slots__ = ("_due_s", "_early_s", "interval_s")

    def __init__(self, fps: float) -> None:
        if not fps > 0:
            raise ValueError(f"pacing needs a rate above 0; got {fps}")
        self.interval_s = 1.0 / fps
        self._early_s = EARLY_SHARE * self.interval_s
        self._due_s: float | None = None

    def reset(self) -> None:
        """Forget the grid; the next picture is taken."""
        self._due_s = None

    def due(self, t_s: float) -> bool:
        """Whether a picture of this time is to be taken."""
        return self._due_s is None or t_s >= self._due_s - self._early_s

    def taken(self, t_s: float) -> float:
        """Note that the picture of this time was taken.

        Returns:
            Seconds after it from which the next one is due; what a reader is armed with.
        """
        late_s = None if self._due_s is None else t_s - self._due_s
        on_grid = late_s is not None and late_s < self.interval_s
        self._due_s = (self._due_s if on_grid and self._due_s is not None else t_s) + self.interval_s
        return max(0.0, self._due_s - self._early_s - t_s)


class FairQueue:
    """Shares the workers between cameras in proportion to the rates they asked for.

    Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queuing", SIGCOMM 1996): each service
    advances a camera's virtual time by the inverse of its weight, and the camera that is furthest behind is next. One
    that was idle joins at the present virtual time: it saves up no credit. Among equals the least recently served
    is next.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self._weights: dict[str, float] = {}
        self._finish: dict[str, float] = {}
        self._served: dict[str, int] = {}
        self._virtual = 0.0
        self._services = 0
        self.set_weights(weights or {})

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Replace the cameras and their weights; those that stay keep their place."""
        if not all(weight > 0 for weight in weights.values()):
            raise ValueError(f"weights must be above 0; got {dict(weights)}")
        self._weights = dict(weights)
        self._finish = {name: self._finish.get(name, self._virtual) for name in weights}
        self._served = {name: self._served.get(name, -1) for name in weights}

    def pick(self, ready: Iterable[str]) -> str | None:
        """Whose turn it is among those that have something; None where nobody has. Counts as a service."""
        candidates = [name for name in ready if name in self._weights]
        if not candidates:
            return None
        chosen = min(candidates, key=lambda name: (max(self._finish[name], self._virtual), self._served[name], name))
        start = max(self._finish[chosen], self._virtual)
        self._virtual = start
        self._finish[chosen] = start + 1.0 / self._weights[chosen]
        self._services += 1
        self._served[chosen] = self._services
        return chosen
