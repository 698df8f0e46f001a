"""Pictures in the memory that the warden handed over: mapped read-only, converted when asked for."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vedette.core.pixels import Pixels

Kind = Literal["bgr", "gray"]


@dataclass(frozen=True, slots=True)
class _Ring:
    number: int
    memory: mmap.mmap
    slot_bytes: int
    width: int
    height: int


class Rings:
    """The memory of each camera whose pictures may be seen; the newest one only."""

    def __init__(self) -> None:
        self._rings: dict[str, _Ring] = {}

    def prepare(self) -> None:
        """Load what pictures need now, so that no call is charged for it."""
        import cv2  # noqa: F401
        import numpy as np  # noqa: F401

        import vedette.core.pixels  # noqa: F401

    def attach(self, message: dict[str, Any], descriptor: int) -> None:
        """Use this memory for a camera from now on."""
        try:
            memory = mmap.mmap(descriptor, message["total_bytes"], mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self._rings[message["camera"]] = _Ring(
            message["ring"], memory, message["slot_bytes"], message["width"], message["height"]
        )

    def picture(self, message: dict[str, Any]) -> Callable[[Kind], NDArray[np.uint8]]:
        """What makes the picture of one call of ``on_frame``."""
        ring = self._rings[message["frame"]["camera"]]
        if ring.number != message["ring"]:
            raise RuntimeError("the memory of this picture was not handed over")

        def make(kind: Kind) -> NDArray[np.uint8]:
            from vedette.core.pixels import Pixels

            start = message["slot"] * ring.slot_bytes
            view = memoryview(ring.memory)[start : start + ring.slot_bytes]
            pixels = Pixels.from_buffer(view, ring.width, ring.height, full_range=message["full_range"])
            _check(message["expires_s"])
            made = _gray(pixels) if kind == "gray" else _bgr(pixels)
            _check(message["expires_s"])  # it may have been overwritten meanwhile
            return made

        return make


def _check(expires_s: float) -> None:
    if time.monotonic() >= expires_s:
        raise TimeoutError("the picture's memory was taken back; call frame.bgr() at the start of on_frame")


def _gray(pixels: Pixels) -> NDArray[np.uint8]:
    import numpy as np

    if pixels.full_range:
        return pixels.y.copy()
    table = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
    return np.asarray(table[pixels.y], np.uint8)


def _bgr(pixels: Pixels) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    width, height = pixels.width, pixels.height
    if pixels.full_range:  # JPEG's range: OpenCV has no 4:2:0 conversion for it
        red, blue = (
            cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (pixels.v, pixels.u)
        )
        return np.asarray(cv2.cvtColor(cv2.merge((pixels.y, red, blue)), cv2.COLOR_YCrCb2BGR), np.uint8)
    even = np.pad(pixels.y, ((0, height % 2), (0, width % 2)), mode="edge")
    packed = np.concatenate((even.ravel(), pixels.u.ravel(), pixels.v.ravel()))
    packed = packed.reshape(even.shape[0] * 3 // 2, even.shape[1])
    return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420)[:height, :width], np.uint8)
