"""The states of all cameras as the supervisor knows them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from vedette.contracts.camera import CameraConfig, CameraState, CameraStatus
from vedette.core.redact import redact

logger = logging.getLogger(__name__)

#: Counters that start anew in each process and are added up here.
_COUNTERS = ("frames_decoded", "frames_published", "frames_corrupt", "reconnects")


class StatusBook:
    """What is known of each camera. Safe to use from several threads.

    Counters go on across processes of a camera; a camera whose process ended is not shown as streaming.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[str, CameraStatus] = {}
        self._base: dict[str, dict[str, int]] = {}
        self._news: set[str] = set()
        self._problems: tuple[str, ...] = ()

    def configured(
        self, cameras: Sequence[CameraConfig], problems: tuple[str, ...], paused: Mapping[str, str] | None = None
    ) -> None:
        """These are the cameras now.

        Args:
            cameras: all of them.
            problems: for people.
            paused: camera → who paused it.
        """
        paused = paused or {}
        now_s = time.time()
        with self._lock:
            self._problems = problems
            old, self._statuses = self._statuses, {}
            for camera in cameras:
                state = CameraState.CONNECTING if camera.enabled else CameraState.DISABLED
                reason = "starting" if camera.enabled else "switched off in the configuration"
                if camera.name in paused:
                    reason = f"paused by {paused[camera.name]}"
                status = old.get(camera.name)
                other = not camera.enabled and status is not None and status.reason != reason
                if status is None or (status.state is CameraState.DISABLED) == camera.enabled or other:
                    status = CameraStatus(camera=camera.name, state=state, reason=reason, since_wall_s=now_s)
                self._statuses[camera.name] = status
                self._news.add(camera.name)
            self._base = {name: base for name, base in self._base.items() if name in self._statuses}

    def heard(self, name: str, document: dict[str, Any]) -> bool:
        """Take a status from a camera's process; whether state or reason changed."""
        try:
            status = CameraStatus.model_validate(document)
        except ValidationError:
            logger.exception("camera %s sent a status that is none", name)
            return False
        with self._lock:
            old = self._statuses.get(name)
            if old is None or old.state is CameraState.DISABLED:  # removed meanwhile
                return False
            base = self._base.get(name, {})
            totals = {counter: getattr(status, counter) + base.get(counter, 0) for counter in _COUNTERS}
            status = status.model_copy(update={**totals, "restarts": old.restarts})
            if status.state is old.state:
                status = status.model_copy(update={"since_wall_s": old.since_wall_s})
            self._statuses[name] = status
            news = (status.state, status.reason, status.health) != (old.state, old.reason, old.health)
            if news:
                self._news.add(name)
            return news

    def ended(self, name: str, reason: str) -> None:
        """A camera's process ended and is being replaced."""
        with self._lock:
            old = self._statuses.get(name)
            if old is None or old.state is CameraState.DISABLED:
                return
            self._base[name] = {counter: getattr(old, counter) for counter in _COUNTERS}
            changes: dict[str, Any] = {"restarts": old.restarts + 1, "published_fps": 0.0}
            if old.state in (CameraState.STREAMING, CameraState.CONNECTING, CameraState.NO_KEYFRAME):
                text = redact(reason.removeprefix(f"{CameraState.STALLED.value}: "))
                changes |= {"state": CameraState.STALLED, "reason": text, "error": "V201", "since_wall_s": time.time()}
            self._statuses[name] = old.model_copy(update=changes)
            self._news.add(name)

    def failed(self, name: str, text: str, code: str) -> None:
        """A camera's process says why it cannot work at all."""
        with self._lock:
            old = self._statuses.get(name)
            if old is not None:
                changes = {"state": CameraState.UNSUPPORTED, "reason": redact(text), "error": code}
                self._statuses[name] = old.model_copy(update=changes)
                self._news.add(name)

    def statuses(self) -> dict[str, CameraStatus]:
        """Each camera's."""
        with self._lock:
            return dict(self._statuses)

    def take(self, *, everything: bool) -> list[CameraStatus]:
        """Statuses to publish: those that changed, or all."""
        with self._lock:
            names = set(self._statuses) if everything else self._news & self._statuses.keys()
            self._news.clear()
            return [self._statuses[name] for name in sorted(names)]

    def summary(self) -> dict[str, Any]:
        """Everything as a JSON document, for `vedette status`."""
        with self._lock:
            return {
                "cameras": [self._statuses[name].model_dump(mode="json") for name in sorted(self._statuses)],
                "problems": list(self._problems),
            }
