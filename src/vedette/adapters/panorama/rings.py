"""Pictures for the code of one application, in memory that it may write to: a ring of slots for each stream.

A slot is the code's until the last array over it is gone. Where few are left, the code is told to copy the picture and
to give the slot back at once, so that memory is bounded whatever it keeps.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.frames import memory
from vedette.contracts.frames import FrameInfo

#: Slots of a stream: one that the code shows, one that it works on, one that it is about to get, and some to keep.
SLOTS: Final = 6
#: With fewer free than this after a picture was handed out, it is to be copied.
_RESERVE: Final = 2
#: Pictures that can be put after their slot was given back.
_REMEMBERED: Final = 256
_CHANNELS: Final = 3


@dataclass(frozen=True, slots=True)
class Handed:
    """A picture that the code has been given.

    Attributes:
        token: its number.
        stream: the camera.
        info: which picture it is.
        ring: number of the memory it lies in.
        offset: where it begins, bytes.
        size: (width, height), pixels.
        copy: whether the code has to copy it and give it back at once.
    """

    token: int
    stream: str
    info: FrameInfo
    ring: int
    offset: int
    size: tuple[int, int]
    copy: bool


class _Ring:
    """Slots of one size."""

    def __init__(self, number: int, size: tuple[int, int], slots: int, stream: str) -> None:
        width, height = size
        self.number = number
        self.size = size
        self.slot_bytes = width * height * _CHANNELS
        self.total_bytes = slots * self.slot_bytes
        what = f"{slots} pictures of {width}x{height} of camera {stream} for the application's code"
        self.descriptor, mapping = memory.create(f"panorama-{stream}", self.total_bytes, what, shared_writing=True)
        self._memory = np.frombuffer(mapping, np.uint8)
        self.free = list(range(slots))

    def view(self, slot: int) -> NDArray[np.uint8]:
        """A slot as a picture."""
        width, height = self.size
        start = slot * self.slot_bytes
        return self._memory[start : start + self.slot_bytes].reshape(height, width, _CHANNELS)

    def close(self) -> None:
        """Give the descriptor back; the memory goes with its last view."""
        os.close(self.descriptor)


class Rings:
    """All pictures that the code of one process holds. Used by many threads.

    Args:
        slots: of each stream.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._rings: dict[str, _Ring] = {}
        self._held: dict[int, tuple[_Ring, int]] = {}
        self._handed: OrderedDict[int, Handed] = OrderedDict()

    def slot(self, stream: str, size: tuple[int, int]) -> tuple[int, NDArray[np.uint8]] | None:
        """A free slot for a picture of a stream: its token, and where to write the picture. None where there is none.

        Raises:
            CameraError: V205, there is not enough memory.
        """
        with self._lock:
            ring = self._rings.get(stream)
            if ring is None or ring.size != size:
                if ring is not None:
                    ring.close()
                ring = self._rings[stream] = _Ring(next(self._numbers), size, self._slots, stream)
            if not ring.free:
                return None
            slot, token = ring.free.pop(), next(self._numbers)
            self._held[token] = (ring, slot)
            return token, ring.view(slot)

    def hand_out(self, token: int, stream: str, info: FrameInfo) -> Handed:
        """What the code is told of a picture that was written into its slot."""
        with self._lock:
            ring, slot = self._held[token]
            copy = len(ring.free) < _RESERVE
            handed = Handed(token, stream, info, ring.number, slot * ring.slot_bytes, ring.size, copy)
            self._handed[token] = handed
            while len(self._handed) > _REMEMBERED:
                oldest = next((token for token in self._handed if token not in self._held), None)
                if oldest is None:
                    break
                del self._handed[oldest]
            return handed

    def release(self, token: int) -> None:
        """A slot is free again; nothing where it was, or never was anyone's."""
        with self._lock:
            ring, slot = self._held.pop(token, (None, 0))
            if ring is not None:
                ring.free.append(slot)

    def find(self, token: int) -> tuple[Handed, NDArray[np.uint8] | None] | None:
        """A picture that was handed out, and its slot where it is the code's still; None where it is not known."""
        with self._lock:
            handed = self._handed.get(token)
            if handed is None:
                return None
            ring, slot = self._held.get(token, (None, 0))
            return handed, None if ring is None else ring.view(slot)

    def ring(self, stream: str) -> tuple[int, int, int]:
        """(number, descriptor, size in bytes) of a stream's memory."""
        with self._lock:
            ring = self._rings[stream]
            return ring.number, ring.descriptor, ring.total_bytes

    def close(self) -> None:
        """Let go of all; idempotent."""
        with self._lock:
            for ring in self._rings.values():
                ring.close()
            self._rings.clear()
