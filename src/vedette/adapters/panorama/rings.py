"""Pictures for the code of one application, in memory that it may write to: a ring of slots for each stream.

A slot is the code's until the last array over it is gone, or its process. Where few are left, the code is told to copy
the picture and to give the slot back at once, so that memory is bounded whatever it keeps.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
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
        weakref.finalize(self, os.close, self.descriptor)  # as soon as no picture lies in it any more
        self._memory = np.frombuffer(mapping, np.uint8)
        self.free = list(range(slots))

    def view(self, slot: int) -> NDArray[np.uint8]:
        """A slot as a picture."""
        width, height = self.size
        start = slot * self.slot_bytes
        return self._memory[start : start + self.slot_bytes].reshape(height, width, _CHANNELS)


@dataclass(frozen=True, slots=True)
class _Held:
    """A slot that somebody has."""

    ring: _Ring
    slot: int
    client: int


class Rings:
    """All pictures that the processes of one application hold. Used by many threads.

    Args:
        slots: of each stream.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._clients: set[int] = set()
        self._rings: dict[str, _Ring] = {}
        self._held: dict[int, _Held] = {}
        self._handed: OrderedDict[int, Handed] = OrderedDict()

    def join(self, client: int) -> bool:
        """A process may hold pictures; False where another has this number."""
        with self._lock:
            known = client in self._clients
            self._clients.add(client)
            return not known

    def has(self, client: int) -> bool:
        """Whether a process may hold pictures."""
        with self._lock:
            return client in self._clients

    def leave(self, client: int) -> None:
        """A process has ended; its slots are free again."""
        with self._lock:
            self._clients.discard(client)
            for token in [token for token, held in self._held.items() if held.client == client]:
                self._free(token)

    def slot(self, stream: str, size: tuple[int, int], client: int) -> tuple[int, NDArray[np.uint8]] | None:
        """A free slot for a picture of a stream: its token, and where to write the picture.

        None where there is none, or the process is not there any more.

        Raises:
            CameraError: V205, there is not enough memory.
        """
        with self._lock:
            ring = self._rings.get(stream)
            if ring is None or ring.size != size:
                ring = self._rings[stream] = _Ring(next(self._numbers), size, self._slots, stream)
            if not ring.free or client not in self._clients:
                return None
            slot, token = ring.free.pop(), next(self._numbers)
            self._held[token] = _Held(ring, slot, client)
            return token, ring.view(slot)

    def hand_out(self, token: int, stream: str, info: FrameInfo) -> Handed | None:
        """What the code is told of a picture that was written into its slot; None where its process has ended."""
        with self._lock:
            held = self._held.get(token)
            if held is None:
                return None
            ring = held.ring
            copy = len(ring.free) < _RESERVE
            handed = Handed(token, stream, info, ring.number, held.slot * ring.slot_bytes, ring.size, copy)
            self._handed[token] = handed
            while len(self._handed) > _REMEMBERED:
                oldest = next((token for token in self._handed if token not in self._held), None)
                if oldest is None:
                    break
                del self._handed[oldest]
            return handed

    def release(self, token: int, client: int) -> None:
        """A slot is free again; nothing where it is not this process's."""
        with self._lock:
            held = self._held.get(token)
            if held is not None and held.client == client:
                self._free(token)

    def _free(self, token: int) -> None:
        held = self._held.pop(token)
        held.ring.free.append(held.slot)

    def find(self, token: int) -> tuple[Handed, NDArray[np.uint8] | None] | None:
        """A picture that was handed out, and its slot where it is the code's still; None where it is not known."""
        with self._lock:
            handed = self._handed.get(token)
            if handed is None:
                return None
            held = self._held.get(token)
            return handed, None if held is None else held.ring.view(held.slot)

    def memory(self, token: int) -> tuple[int, int] | None:
        """The memory that a picture lies in: a descriptor, to be closed by the caller, and its size in bytes.

        None where its process has ended.
        """
        with self._lock:
            held = self._held.get(token)
            return None if held is None else (os.dup(held.ring.descriptor), held.ring.total_bytes)

    def close(self) -> None:
        """Let go of all; idempotent. Memory goes with the last view of it."""
        with self._lock:
            self._clients.clear()
            self._held.clear()
            self._rings.clear()
