"""The application, as its own code sees it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from vedette.hooks.state import dump_state
from vedette.hooks.values import SEVERITIES, Batch, Camera, Frame, RaisedAlert, Severity, TrackedObject

#: Bounds. A message that is longer is cut; everything else beyond them is an error in the hook.
MAX_MESSAGE_CHARACTERS: Final = 200
MAX_KEY_CHARACTERS: Final = 64
MAX_ALERTS_PER_CALL: Final = 16
MAX_OBJECTS_PER_ALERT: Final = 64
MAX_TIMERS: Final = 16
SHORTEST_INTERVAL_S: Final = 0.1
_MAX_LOG_CHARACTERS: Final = 2_000


class App:
    """The application, as its own code sees it. Vedette makes one and hands it to every function.

    Args:
        cameras: the application's cameras, or their names.
        parameters: values of the application's parameters.
        state: what an earlier process left.
        directory: the hook's own directory.

    Attributes:
        cameras: every camera of the application, with what it is bound to.
        parameters: the application's parameters by name; they cannot be changed.
        state: a dictionary of plain JSON, at most 64 KB, kept across restarts. It is saved together with the position
            in the stream of batches: whoever continues finds it as it was after the last batch that counts.
        directory: where files may be written; it survives restarts and has little room.
    """

    def __init__(
        self,
        cameras: Sequence[Camera | str] = (),
        parameters: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.cameras: tuple[Camera, ...] = tuple(
            camera if isinstance(camera, Camera) else Camera(camera) for camera in cameras
        )
        self.parameters: Mapping[str, Any] = MappingProxyType(dict(parameters or {}))
        self.state: dict[str, Any] = dict(state or {})
        self.directory = directory if directory is not None else Path.cwd()
        self._subject: Batch | Frame | None = None
        self._now: datetime | None = None
        self._raised: list[RaisedAlert] | None = None
        self._in_setup = False
        self._timers: list[tuple[float, Callable[[App], None]]] = []

    @property
    def now(self) -> datetime:
        """Time of what is being handled, UTC: of the picture, or of the timer. In a backtest it is the recording's."""
        return self._now if self._now is not None else datetime.now(UTC)

    def every(self, seconds: float, function: Callable[[App], None]) -> None:
        """Have ``function(app)`` called again and again; only from ``setup``.

        A call that comes too late is not made up for. In a backtest the recording's time counts.

        Args:
            seconds: between two calls, at least 0.1.
            function: called with the application.

        Raises:
            RuntimeError: not called from ``setup``, or too many timers.
            ValueError: the interval is too short or no number.
        """
        if not self._in_setup:
            raise RuntimeError("app.every can be called from setup only")
        if len(self._timers) >= MAX_TIMERS:
            raise RuntimeError(f"at most {MAX_TIMERS} timers are allowed")
        if not math.isfinite(seconds) or seconds < SHORTEST_INTERVAL_S:
            raise ValueError(f"app.every: {seconds!r} seconds; at least {SHORTEST_INTERVAL_S} are needed")
        if not callable(function):
            raise TypeError("app.every: the second argument is not a function; write app.every(60, report)")
        self._timers.append((float(seconds), function))

    def alert(
        self,
        message: str,
        *,
        camera: Camera | str | None = None,
        key: str | None = None,
        objects: Iterable[TrackedObject] | TrackedObject = (),
        count: int | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Raise an alert. It counts once the function has returned; where it raises an exception, nothing counts.

        Args:
            message: one sentence for people; cut at 200 characters.
            camera: one of ``app.cameras`` or its name; the camera of the batch or picture where absent.
            key: names the event. Two alerts of one picture with the same key and camera are one. From ``setup`` and
                timers it is needed, because no picture tells one event from another: an alert whose key was used
                before is dropped, also after a restart, so make it of the day or a counter.
            objects: objects of the batch that it is about, at most 64.
            count: a number to report, 0 or more.
            severity: ``info``, ``warning`` or ``critical``; the manifest's where absent.

        Raises:
            ValueError: a value is not allowed; the message says what is.
            RuntimeError: not called from a function that Vedette calls, or more than 16 alerts in one call.
        """
        if self._raised is None:
            raise RuntimeError("app.alert counts only while Vedette calls one of the hook's functions")
        if len(self._raised) >= MAX_ALERTS_PER_CALL:
            raise RuntimeError(f"at most {MAX_ALERTS_PER_CALL} alerts in one call are allowed")
        if severity is not None and severity not in SEVERITIES:
            raise ValueError(f"severity {severity!r} is not allowed; it is one of {', '.join(SEVERITIES)}")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < 1 << 31):
            raise ValueError(f"count {count!r} is not a whole number of 0 or more")
        device = self._device(camera)
        text, name = _line(message), self._key(key)
        if name and any(raised.key == name and raised.camera == device for raised in self._raised):
            return
        number = 0 if name else sum(not raised.key for raised in self._raised)
        track_ids = self._track_ids(objects)
        self._raised.append(RaisedAlert(text, device, name, number, track_ids, count, severity or ""))

    def log(self, text: object) -> None:
        """Write a line to the component's log. So does ``print``; too many lines are dropped and counted."""
        sys.stderr.write(f"{str(text)[:_MAX_LOG_CHARACTERS]}\n")
        sys.stderr.flush()

    def handle(
        self,
        function: Callable[..., object],
        subject: Batch | Frame | None = None,
        *,
        now: datetime | None = None,
        setup: bool = False,
    ) -> tuple[RaisedAlert, ...]:
        """Call one of the hook's functions as Vedette does: it counts as a whole, or not at all.

        Args:
            function: ``setup``, ``on_tracks``, ``on_frame`` or the function of a timer.
            subject: what it is called with besides the application: a batch, a frame, or nothing.
            now: of the timer.
            setup: whether it is ``setup``, which alone may ask for timers.

        Returns:
            The alerts it raised.

        Raises:
            Exception: what the function raised; ``state`` is as it was before.
            ValueError: ``state`` is no plain JSON or too large afterwards; it is as it was before.
        """
        before = self.saved_state()
        self._raised, self._subject = [], subject
        self._now = subject.time if subject is not None else now
        self._in_setup = setup
        try:
            function(self) if subject is None else function(self, subject)
            self.saved_state()
        except BaseException:
            self.state = json.loads(before)
            raise
        else:
            return tuple(self._raised)
        finally:
            self._raised, self._subject, self._now, self._in_setup = None, None, None, False

    def saved_state(self) -> str:
        """``state`` as it is saved: compact JSON.

        Raises:
            ValueError: it is no dictionary of plain JSON, or too large.
        """
        return dump_state(self.state)

    @property
    def timers(self) -> tuple[tuple[float, Callable[[App], None]], ...]:
        """What ``every`` was called with."""
        return tuple(self._timers)

    def _device(self, camera: Camera | str | None) -> str:
        """The site's name of the camera an alert is about."""
        subject = self._subject
        if camera is None:
            if subject is not None:
                return subject.device_camera
            if len(self.cameras) == 1:
                return self.cameras[0].device
            raise ValueError(f"camera is needed here; it is one of {self._names()}")
        if isinstance(camera, Camera):
            if camera not in self.cameras:
                raise ValueError(f"{camera} is not one of app.cameras")
            return camera.device
        if subject is not None and subject.camera == camera:
            return subject.device_camera
        devices = [one.device for one in self.cameras if one.name == camera]
        if not devices:
            raise ValueError(f"no camera is called {camera!r}; it is one of {self._names()}")
        if len(devices) > 1:
            raise ValueError(f"camera {camera!r} is bound to {', '.join(devices)}; pass one of app.cameras")
        return devices[0]

    def _names(self) -> str:
        return ", ".join(dict.fromkeys(repr(camera.name) for camera in self.cameras)) or "none"

    def _key(self, key: str | None) -> str:
        if key is None or key == "":
            if self._subject is None:
                raise ValueError(
                    "key is needed here: no picture tells one event from another. Make it of the day or a counter, "
                    "such as key=f'closed-{app.now:%Y-%m-%d}'"
                )
            return ""
        if len(key) > MAX_KEY_CHARACTERS or not key.isprintable():
            raise ValueError(f"key {key[:80]!r} is not at most {MAX_KEY_CHARACTERS} printable characters")
        return key

    def _track_ids(self, objects: Iterable[TrackedObject] | TrackedObject) -> tuple[int, ...]:
        chosen = (objects,) if isinstance(objects, TrackedObject) else tuple(objects)
        known = {one.track_id for one in self._subject.objects} if isinstance(self._subject, Batch) else set()
        ids: dict[int, None] = {}
        for one in chosen:
            if not isinstance(one, TrackedObject) or one.track_id not in known:
                raise ValueError(f"objects: {one!r} is not an object of the batch that is being handled")
            ids[one.track_id] = None
        if len(ids) > MAX_OBJECTS_PER_ALERT:
            raise ValueError(f"objects: {len(ids)}; an alert names at most {MAX_OBJECTS_PER_ALERT}")
        return tuple(ids)


def _line(text: object) -> str:
    """One line of printable text, cut where it is too long."""
    if not isinstance(text, str):
        raise ValueError(f"message is a {type(text).__name__}; it must be text")
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    if not line:
        raise ValueError("message is empty")
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[: MAX_MESSAGE_CHARACTERS - 1] + "…"
