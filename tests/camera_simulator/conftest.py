"""Clips the tests of this folder share, made once."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import pytest

from vedette.testing.camera import Media, load_media
from vedette.testing.synthetic import make_clip

FRAMES = 40


@cache
def _clip(codec: str, b_frames: int, width: int, gop: int) -> bytes:
    return make_clip(codec=codec, b_frames=b_frames, frames=FRAMES, width=width, height=width * 3 // 4, gop=gop)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def clip() -> Callable[..., bytes]:
    """A file of 40 pictures (1.6 s) with counters: ``clip("h264", b_frames=2)``."""

    def make(codec: str = "h264", *, b_frames: int = 0, width: int = 320, gop: int = 25) -> bytes:
        return _clip(codec, b_frames, width, gop)

    return make


@pytest.fixture(scope="session")
def media(clip: Callable[..., bytes]) -> Callable[..., Media]:
    """The same, loaded."""

    def load(codec: str = "h264", **options: int) -> Media:
        return load_media(io.BytesIO(clip(codec, **options)), name=f"{codec}.mp4")

    return load
