"""What the plan wants of each camera's process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from vedette.contracts.plan import Plan

#: What the process of a camera is told that nobody needs pictures of; as ``compose.capture`` takes it.
NOTHING: Final[Mapping[str, Any]] = {"fps": 0.0, "pre_roll_s": 0.0, "rest": None}


class Wanted:
    """Tells processes of cameras what is wanted of them. Safe to use from any thread.

    Plans come from the thread that configures and from those that answer applications, so one may be overtaken on its
    way: the newest stays in force.

    Args:
        send: hands a message to the process of a camera.
    """

    def __init__(self, send: Callable[[str, dict[str, Any]], object]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._revision = -1
        self._told: dict[str, dict[str, Any]] = {}
        self._streams: dict[str, str] = {}

    def take(self, plan: Plan) -> None:
        """Tell every process what changes for it."""
        with self._lock:
            if plan.revision < self._revision:
                return
            self._revision = plan.revision
            self._streams = {stream.camera: stream.stream for stream in plan.streams}
            told = self._told
            self._told = {s.camera: s.model_dump(mode="json", include=set(NOTHING)) for s in plan.streams}
            for name in told.keys() | self._told.keys():
                before, now = told.get(name, NOTHING), self._told.get(name, NOTHING)
                changed = {what: value for what, value in now.items() if value != before[what]}
                if changed:
                    self._send(name, changed)

    def tell(self, name: str) -> None:
        """Tell a process that has just begun all that is wanted of it."""
        with self._lock:
            self._send(name, dict(self._told.get(name, NOTHING)))

    def stream(self, name: str) -> str:
        """Which stream is opened. Where no application needs the camera yet, the small one tells that it is well."""
        with self._lock:
            return self._streams.get(name, "sub")
