"""An application's own code in a process of its own, and where its position in the journal is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vedette.contracts.frames import FrameInfo
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.hook_messages import HookReply
from vedette.contracts.tracks import TrackBatch
from vedette.ports.outbox import Origin


@dataclass(frozen=True, slots=True)
class HookPosition:
    """Where a hook stands; committed as one.

    Attributes:
        journal: identity of the journal the cursor belongs to.
        cursor: sequence number of the last row that counts.
        state: ``app.state`` as JSON text.
        buckets: how many alerts it may still raise, as ``AlertBudget.state()``.
        suppressed: alerts not sent because there were too many, ever.
        skipped: batches given up because they failed again and again, ever.
    """

    journal: str = ""
    cursor: int = 0
    state: str = "{}"
    buckets: tuple[Any, ...] = ()
    suppressed: int = 0
    skipped: int = 0


class HookStore(Protocol):
    """A hook's position, and events that are not in the journal yet, on disk. For one thread."""

    @property
    def origin(self) -> Origin:
        """Where the position comes from."""
        ...

    def load(self) -> HookPosition:
        """The position that was committed last."""
        ...

    def commit(self, position: HookPosition, events: Sequence[HookEvent] = ()) -> None:
        """One transaction, on disk when it returns: the position, and events that shall be appended to the journal.

        Raises:
            StorageError: V404 or V401, the disk refuses; nothing is changed.
        """
        ...

    def waiting(self) -> Sequence[tuple[int, HookEvent]]:
        """Events that may not be in the journal yet, oldest first, by number."""
        ...

    def appended(self, numbers: Sequence[int]) -> None:
        """These are in the journal. They are forgotten with the next commit: a repeat does no harm."""
        ...

    def attempts(self, journal: str, seq: int) -> int:
        """How often handling this row has failed in a row."""
        ...

    def note_attempt(self, journal: str, seq: int) -> int:
        """Count one more failure of this row, durably; how many there are now."""
        ...

    def close(self) -> None:
        """Let go of the file; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is due, ready to be shown to the code.

    Attributes:
        info: identity and time.
        app_camera: the application's own name of the camera.
        message: what the process is told of it.
    """

    info: FrameInfo
    app_camera: str
    message: Mapping[str, Any] = field(repr=False)


class HookProcess(Protocol):
    """The process of one hook. Every error that is not V802 has ended it."""

    def start(self, state: str, wall_s: float) -> HookReply:
        """Start it, load the code, call ``setup``.

        Args:
            state: ``app.state`` as JSON.
            wall_s: Unix time it is to the code.

        Raises:
            HookError: V801, V805, V808 and the like: it does not run.
        """
        ...

    def tracks(self, app_camera: str, batch: TrackBatch) -> HookReply:
        """Call ``on_tracks``.

        Raises:
            HookError: it raised (V802), or was ended (any other code).
        """
        ...

    def frame(self, picture: Picture) -> HookReply:
        """Call ``on_frame``.

        Raises:
            HookError: as ``tracks``.
        """
        ...

    def timer(self, number: int, wall_s: float) -> HookReply:
        """Call the function of a timer.

        Raises:
            HookError: as ``tracks``.
        """
        ...

    def alive(self) -> bool:
        """Whether it runs."""
        ...

    def check(self) -> None:
        """Notice what happened between calls.

        Raises:
            HookError: it ended.
        """
        ...

    def close(self) -> None:
        """End it; idempotent."""
        ...
