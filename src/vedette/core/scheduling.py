"""Whose turn it is, among the cameras that have a picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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
