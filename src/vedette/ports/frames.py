"""Where pictures come from and how they are handed over."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from vedette.contracts.frames import FrameInfo
from vedette.core.pixels import Pixels


class FrameSource(Protocol):
    """A camera or a file, opened: an iterator of decoded, undamaged, sampled pictures.

    The pixels are valid until the next picture is asked for.
    """

    def __iter__(self) -> Iterator[tuple[FrameInfo, Pixels]]:
        """Pictures in the order of their time.

        Raises:
            CameraError: the stream ended in failure; the reason is in the message.
        """
        ...

    def close(self) -> None:
        """End the session with the camera; idempotent."""
        ...


class FrameLease(Protocol):
    """One picture of a store, protected from being overwritten until released or its lease has timed out."""

    @property
    def info(self) -> FrameInfo:
        """Identity and time of the picture."""
        ...

    @property
    def pixels(self) -> Pixels:
        """Views into the shared memory."""
        ...

    @property
    def intact(self) -> bool:
        """Whether the picture is protected still: what was computed so far is of this very picture."""
        ...

    def release(self) -> bool:
        """Give the slot back. False where the lease had timed out: what was computed may be of a torn picture."""
        ...


class FrameReader(Protocol):
    """A reader of one camera's frame store. Latest picture wins: it skips, it never queues."""

    def fileno(self) -> int:
        """Descriptor that becomes readable when a newer picture may be had."""
        ...

    def arm(self, after: FrameInfo | None, interval_s: float) -> None:
        """Ask to be woken once there is a picture at least ``interval_s`` newer than ``after``."""
        ...

    def latest(self) -> FrameLease | None:
        """Lease the freshest picture not yet had and due by the last ``arm``; None where there is none."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...

    def __enter__(self) -> Self:
        """Enter."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        ...
