"""A camera's state as others see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from vedette.contracts.camera import TRANSITIONS, CameraState, CameraStatus


class Board:
    """The camera's state as others see it. Changes are checked against ``TRANSITIONS``.

    Args:
        camera: name.
        source: address without credentials.
        wall: Unix time.
        on_change: called after each change of state or reason.
    """

    def __init__(
        self,
        camera: str,
        source: str,
        *,
        wall: Callable[[], float] = time.time,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._lock = threading.Lock()
        self._wall = wall
        self._on_change = on_change
        self._status = CameraStatus(
            camera=camera, state=CameraState.CONNECTING, source=source, since_wall_s=wall(), reason="connecting"
        )

    @property
    def status(self) -> CameraStatus:
        """As it stands."""
        with self._lock:
            return self._status

    def move(
        self, state: CameraState, reason: str = "", error: str = "", *, only_in: Collection[CameraState] | None = None
    ) -> None:
        """Enter a state, or change the reason of the present one.

        Args:
            state: the new one.
            reason: for people.
            error: code.
            only_in: nothing happens in any other state (another thread may have changed it meanwhile).

        Raises:
            ValueError: the transition is not in the table: a mistake of ours.
        """
        with self._lock:
            old = self._status
            if only_in is not None and old.state not in only_in:
                return
            if (old.state, old.reason, old.error) == (state, reason, error):
                return
            changes: dict[str, object] = {"reason": reason, "error": error}
            if state is not old.state:
                if state not in TRANSITIONS[old.state]:
                    raise ValueError(f"camera state {old.state.value} cannot become {state.value}")
                changes |= {"state": state, "since_wall_s": self._wall()}
            self._status = old.model_copy(update=changes)
        self._on_change()

    def update(self, **values: object) -> None:
        """Set counters and facts."""
        with self._lock:
            self._status = self._status.model_copy(update=values)
