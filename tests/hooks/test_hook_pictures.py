"""Pictures for a hook: leased by the warden, shown in read-only memory, converted when asked for."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.frames.pattern import info
from tests.hooks.confined import Confined
from vedette.adapters.frames import FrameStoreWriter
from vedette.adapters.hooks.pictures import FrameFeed
from vedette.contracts.errors import HookError
from vedette.contracts.hook_messages import HookReply
from vedette.contracts.plan import HookCamera
from vedette.core.pixels import Pixels

pytestmark = pytest.mark.processes

GATE = HookCamera(app_camera="entrance", camera="gate")
LOOK = """
import hashlib
def on_frame(app, frame):
    bgr, gray = frame.bgr(), frame.gray()
    digest = hashlib.sha256(bgr.tobytes() + gray.tobytes()).hexdigest()[:16]
    app.alert(f"{frame.camera} {frame.device_camera} {frame.frame_no} {bgr.shape} {gray.shape} {bgr.dtype} {digest}")
"""


def pixels(width: int, height: int, seed: int = 1, *, full_range: bool = False) -> Pixels:
    chance = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    y, u, v = (chance.integers(16, 236, size, np.uint8) for size in ((height, width), half, half))
    return Pixels(y, u, v, full_range)


class Camera:
    """A frame store, a feed of one camera, and a process that is shown its pictures."""

    def __init__(self, folder: Path, source: str, *, fps: float = 25.0, lease_s: float = 2.0, **options: Any) -> None:
        self.sockets = folder / "frames"
        self.sockets.mkdir()
        self.lease_s = lease_s
        self.store = FrameStoreWriter(self.sockets / "gate.sock", "gate", lease_s=lease_s)
        self.one = Confined(folder, source, pictures=(GATE,), cameras=(GATE,), **options)
        self.feed = FrameFeed((GATE,), fps, self.sockets, self.one.reactor)
        self.one.rings = self.feed.rings
        self.one.runner._rings = self.feed.rings

    def replace_store(self) -> None:
        """The camera's process is replaced."""
        self.store.close()
        self.store = FrameStoreWriter(self.sockets / "gate.sock", "gate", lease_s=self.lease_s)

    def publish(self, number: int, picture: Pixels, t_s: float | None = None) -> None:
        self.store.publish(info(number, picture.width, picture.height, t_s=t_s), picture)

    def show(self, timeout_s: float = 5.0) -> HookReply | None:
        """The next picture that is due, shown; None where none comes."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            picture = self.feed.due()
            if picture is not None:
                try:
                    return self.one.runner.frame(picture)
                finally:
                    self.feed.done(picture)
            self.one.reactor.run_once(0.02)
        return None

    def close(self) -> None:
        self.feed.close()
        self.one.close()
        self.store.close()


@pytest.fixture
def make(short_tmp: Path) -> Iterator[Any]:
    made: list[Camera] = []

    def camera(source: str = LOOK, **options: Any) -> Camera:
        made.append(Camera(short_tmp, source, **options))
        made[-1].one.start()
        return made[-1]

    yield camera
    for one in made:
        one.close()


def digest(picture: Pixels) -> str:
    """What an honest conversion gives, made independently: every plane brought to full size, then BT.601."""
    y, u, v = picture.y, picture.u, picture.v
    if picture.full_range:
        size = (picture.width, picture.height)
        red, blue = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (v, u))
        bgr = cv2.cvtColor(cv2.merge([y, red, blue]), cv2.COLOR_YCrCb2BGR)
        gray = y
    else:
        packed = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(picture.height * 3 // 2, picture.width)
        bgr = cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420)
        gray = np.clip(np.rint((y.astype(np.float64) - 16) * 255 / 219), 0, 255).astype(np.uint8)
    return hashlib.sha256(bgr.tobytes() + gray.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("full_range", [False, True])
def test_a_picture_is_what_the_camera_took(make: Any, full_range: bool) -> None:
    camera = make()
    picture = pixels(64, 48, full_range=full_range)
    camera.publish(3, picture)
    reply = camera.show()
    assert reply is not None
    said = reply.alerts[0].message
    assert said == f"entrance gate 3 (48, 64, 3) (48, 64) uint8 {digest(picture)}"


def test_odd_sizes_are_converted_whole(make: Any) -> None:
    camera = make()
    picture = pixels(63, 47)
    camera.publish(1, picture)
    reply = camera.show()
    assert reply is not None
    assert "(47, 63, 3) (47, 63)" in reply.alerts[0].message


def test_another_size_and_another_store_are_followed(make: Any) -> None:
    camera = make()
    for number, size in enumerate([(64, 48), (96, 64), (64, 48)], start=1):
        picture = pixels(*size, seed=number)
        camera.publish(number, picture, t_s=float(number))
        reply = camera.show()
        assert reply is not None
        assert reply.alerts[0].message.endswith(digest(picture))
    camera.replace_store()
    picture = pixels(64, 48, seed=9)
    deadline_s = time.monotonic() + 5
    reply = None
    number = 10
    while reply is None and time.monotonic() < deadline_s:
        number += 1
        camera.publish(number, picture, t_s=float(number))
        reply = camera.show(0.3)
    assert reply is not None
    assert reply.alerts[0].message.endswith(digest(picture))
    assert camera.feed.problems() == {}


def test_pictures_come_at_the_rate_asked_for(make: Any) -> None:
    camera = make("def on_frame(app, frame): app.alert(str(frame.frame_no))\n", fps=2.0)
    picture = pixels(64, 48)
    seen: list[int] = []
    for number in range(50):
        camera.publish(number, picture, t_s=number / 25)
        reply = camera.show(0.02)
        if reply is not None:
            seen.append(int(reply.alerts[0].message))
    gaps = [after - before for before, after in pairwise(seen)]
    assert 3 <= len(seen) <= 5, seen
    assert all(11 <= gap <= 26 for gap in gaps), seen


def test_a_picture_whose_memory_was_taken_back_is_not_shown(make: Any) -> None:
    source = """
import time
def on_frame(app, frame):
    app.alert(str(frame.gray().shape), key="early")
    time.sleep(0.6)
    frame.bgr()
"""
    camera = make(source, lease_s=0.3)
    camera.publish(1, pixels(64, 48))
    with pytest.raises(HookError, match="at the start of on_frame"):
        camera.show()
    assert camera.one.runner.alive()


def test_a_copy_may_be_kept_and_changed(make: Any) -> None:
    source = """
kept = []
def on_frame(app, frame):
    bgr = frame.bgr()
    bgr[:] = 7
    gray = frame.gray()
    gray[:] = 8
    kept.append((bgr, gray))
    app.alert(f"{sum(int(b.max()) for b, _ in kept)} {sum(int(g.max()) for _, g in kept)}")
"""
    camera = make(source)
    for number in range(1, 4):
        camera.publish(number, pixels(64, 48, seed=number), t_s=float(number))
        reply = camera.show()
        assert reply is not None
    assert reply is not None
    assert reply.alerts[0].message == "21 24"


def test_a_camera_without_a_store_is_said(make: Any) -> None:
    camera = make()
    camera.store.close()
    assert camera.show(0.3) is None
    assert "V205" in camera.feed.problems()["gate"]


def test_nothing_of_the_pictures_stays_open_when_the_size_changes(make: Any) -> None:
    camera = make()
    camera.publish(1, pixels(64, 48), t_s=1.0)
    assert camera.show()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(2, 12):
        camera.publish(number, pixels(64 + 2 * number, 48), t_s=float(number))
        assert camera.show()
    assert len(os.listdir("/proc/self/fd")) == before
