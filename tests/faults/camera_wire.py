"""A simulated camera and its real capture process at the ends of a cable, and how old its pictures are."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock
from urllib.parse import urlsplit

import numpy as np

from tests.capture.rig import Rig, component_paths
from tests.capture.slow_proxy import SlowProxy
from tests.faults.wire import ADDRESSES, Wire
from vedette.ports.frames import FrameLease
from vedette.testing.camera import CameraSimulator, CameraSource, LoopStart
from vedette.testing.synthetic import Image, block_px, draw_picture, make_clip, read_counter

FPS: Final = 25
GROUP_S: Final = 1.0
#: Long enough that a picture's number says when it was taken, however late it comes.
PICTURES: Final = 30 * FPS
#: Grey levels of a still pattern, which makes key pictures as big as those of a yard.
_GRAIN: Final = 20
#: Side of a square in which nothing is ever as it was, by what it makes of the stream: pixels.
MODEST, BUSY = 16, 64


@contextmanager
def at_its_ends(
    cable: Wire, folder: Path, *, busy: int = MODEST, round_trip_s: float = 0.0, **options: Any
) -> Iterator[tuple[CameraSimulator, Rig]]:
    """A camera at one end and its process at the other.

    Args:
        busy: side of the square that changes all the time, pixels: how many bits a second the stream has.
        round_trip_s: of a long way between them, over TCP; 0 for none.
        options: of the rig.
    """
    clip = folder / f"wire-{busy}.mp4"
    if not clip.exists():
        clip.write_bytes(make_clip(frames=PICTURES, fps=FPS, gop=round(GROUP_S * FPS), crf=26, draw=_drawer(busy)))
    with ExitStack() as stack:
        with cable.inside("camera"):
            source = CameraSource(clip, name="cam")
            simulator = stack.enter_context(CameraSimulator([source], ADDRESSES["camera"], port=0))
            url = simulator.url("cam")
            if round_trip_s:
                port = urlsplit(url).port
                assert port is not None
                proxy = stack.enter_context(SlowProxy(ADDRESSES["camera"], port, round_trip_s))
                url = url.replace(f":{port}/", f":{proxy.port}/")
        stack.enter_context(mock.patch.dict(os.environ, PYTHONPATH=component_paths()))
        with cable.inside("device"):
            place = Path(tempfile.mkdtemp(dir=folder))
            rig = Rig(place, url, **options)
        stack.callback(rig.close)
        yield simulator, rig


def _drawer(busy: int) -> Callable[[int, int, int], Image]:
    """Of pictures with a still pattern and a square of noise, their numbers left readable."""

    def draw(number: int, width: int, height: int) -> Image:
        image = draw_picture(number, width, height)
        coarse = np.random.default_rng(0).integers(-_GRAIN, _GRAIN + 1, (height // 2, width // 2, 1))
        pattern = coarse.repeat(2, 0).repeat(2, 1)
        below = block_px(width)
        image[below:] = np.clip(image[below:] + pattern[below:], 0, 255)
        image[-busy:, -busy:] = np.random.default_rng(number).integers(0, 256, (busy, busy, 1))
        return image

    return draw


class Ages:
    """How old pictures are when they are had: each bears its number."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []
        self._lock = threading.Lock()

    def look(self, lease: FrameLease) -> None:
        """A picture was read."""
        with self._lock:
            self._seen.append((time.monotonic(), read_counter(lease.pixels.y)))

    def since(self, from_s: float, loops: list[LoopStart]) -> list[float]:
        """Ages of the pictures had since a moment, seconds."""
        with self._lock:
            seen = [entry for entry in self._seen if entry[0] >= from_s]
        return [_age_s(got_s, number, loops) for got_s, number in seen]


def _age_s(got_s: float, number: int, loops: list[LoopStart]) -> float:
    taken = [loop.monotonic_s + number / FPS for loop in loops]
    return min(got_s - taken_s for taken_s in taken if taken_s <= got_s)
