"""The wall clock of a looping camera: which picture of which repetition was it, known without any alert."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from vedette.adapters.capture.pyav import PyAvSource
from vedette.core.url_policy import camera_policy, check_url
from vedette.local.simulated import LoopStart, SimulatedCameras
from vedette.testing.belt import Belt, BeltSettings, footage
from vedette.testing.belt.settings import FPS, HEIGHT_PX
from vedette.testing.synthetic import make_clip, read_counter

pytestmark = pytest.mark.processes

#: FFmpeg hands a picture over when the next one begins to arrive, so its time is that much late.
HELD_BACK_S = 1 / FPS
#: A picture is on its way for no longer than this; its time is smoothed, so a busy machine does not show.
ON_THE_WAY_S = 0.03


@contextmanager
def reading(simulated: SimulatedCameras, name: str) -> Iterator[PyAvSource]:
    address = check_url(simulated.urls[name], camera_policy(), lambda _host: ())
    source = PyAvSource(address, camera=name, realtime=True)
    try:
        yield source
    finally:
        source.close()


def place(loops: tuple[LoopStart, ...], wall_s: float) -> tuple[int, float]:
    """Repetition, and seconds since it began."""
    start = max((s for s in loops if s.wall_time_s <= wall_s + 0.001), key=lambda s: s.loop)
    return start.loop, wall_s - start.wall_time_s


def test_a_counter_in_the_pictures_agrees_with_the_published_loop_starts(tmp_path: Path) -> None:
    """Joined at an unknown moment, over two seams: every picture is where the loop starts put it."""
    frames = 50
    (tmp_path / "clip.mp4").write_bytes(make_clip(frames=frames, fps=25))
    with SimulatedCameras({"cam": tmp_path / "clip.mp4"}, log_file=tmp_path / "log") as simulated:
        time.sleep(0.7)  # somewhere in the first repetition
        with reading(simulated, "cam") as source:
            seen = [(info.wall_s, read_counter(pixels.y)) for info, pixels in itertools.islice(source, 120)]
        loops = simulated.loops()
    numbers = [number for _, number in seen]
    assert numbers == [(numbers[0] + step) % frames for step in range(len(seen))]
    # The first picture is the key picture before the moment of joining; it comes later than it was due.
    errors = [(place(loops, wall_s)[1] - number / FPS + 1.0) % 2.0 - 1.0 for wall_s, number in seen[frames:]]
    assert min(errors) > HELD_BACK_S - 0.005
    assert max(errors) < HELD_BACK_S + ON_THE_WAY_S
    assert {place(loops, wall_s)[0] for wall_s, _ in seen} >= {0, 1, 2}


def test_the_belt_is_where_its_truth_says(tmp_path: Path) -> None:
    """Pictures that come over RTSP are those that the renderer gives for the time since the loop's start."""
    loop = BeltSettings(seed=21, duration_s=12)
    belt = Belt(loop)
    video = footage(loop, tmp_path).video
    with SimulatedCameras({"belt": video}, log_file=tmp_path / "log") as simulated:
        time.sleep(2.3)  # some parts are in the picture
        with reading(simulated, "belt") as source:
            seen = [(info.wall_s, pixels.y.astype(np.int16)) for info, pixels in itertools.islice(source, 60)]
        loops = simulated.loops()
    for wall_s, picture in seen[30::6]:
        _, since_s = place(loops, wall_s)
        expected = int((since_s - HELD_BACK_S) * FPS + 0.1)
        distance = {
            number: float(np.abs(picture - belt.frame(number)[:HEIGHT_PX].astype(np.int16)).mean())
            for number in range(expected - 3, expected + 4)
        }
        assert min(distance, key=lambda number: distance[number]) == expected
