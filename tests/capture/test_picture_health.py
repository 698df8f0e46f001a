from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vedette.adapters.capture.pyav import PyAvSource
from vedette.contracts.camera import HealthReport, PictureHealth
from vedette.contracts.frames import FrameInfo
from vedette.core.picture_health import PictureMonitor
from vedette.core.pixels import Pixels
from vedette.core.url_policy import camera_policy, check_url

H, W = 180, 320
CHROMA = np.full((H // 2, W // 2), 128, np.uint8)


def scene(seed: int) -> NDArray[np.float64]:
    """A scene with walls and things: blocks of different brightness."""
    rng = np.random.default_rng(seed)
    picture = np.full((H, W), 110.0)
    for _ in range(25):
        y, x = rng.integers(0, H - 20), rng.integers(0, W - 30)
        picture[y : y + rng.integers(10, 70), x : x + rng.integers(10, 90)] = rng.integers(30, 220)
    return picture


def run(
    pictures: object, monitor: PictureMonitor | None = None, start_s: float = 0.0
) -> list[tuple[float, HealthReport]]:
    """Show (seconds, picture) pairs; the reports with their time."""
    monitor = monitor or PictureMonitor()
    reports = []
    for t_s, luma in pictures:  # type: ignore[attr-defined]
        info = FrameInfo("cam", "e", int(t_s * 10), start_s + t_s, t_s, 1e9 + t_s, W, H)
        report = monitor.look(info, Pixels(np.clip(luma, 0, 255).astype(np.uint8), CHROMA, CHROMA))
        if report is not None:
            reports.append((t_s, report))
    return reports


def noisy(picture: NDArray[np.float64], seconds: float, start_s: float = 0.0, light: float = 1.0) -> object:
    rng = np.random.default_rng(7)
    for number in range(int(seconds * 2)):
        yield start_s + number / 2, picture * light + rng.normal(0, 2, picture.shape)


def states(reports: list[tuple[float, HealthReport]]) -> list[PictureHealth]:
    return [report.state for _, report in reports]


def test_a_quiet_scene_is_good() -> None:
    assert run(noisy(scene(1), 120)) == []


def test_black_covered_and_blown_out_are_told_apart_and_recover() -> None:
    rng = np.random.default_rng(3)
    for bad, state in (
        (np.full((H, W), 16.0), PictureHealth.BLACK),
        (np.full((H, W), 90.0) + rng.normal(0, 3, (H, W)), PictureHealth.COVERED),
        (np.full((H, W), 250.0), PictureHealth.COVERED),
    ):
        monitor = PictureMonitor()
        run(noisy(scene(1), 20), monitor)
        reports = run(noisy(bad, 15, 20), monitor)
        assert states(reports) == [state]
        assert reports[0][0] < 25
        assert reports[0][1].detail
        assert states(run(noisy(scene(1), 10, 35), monitor)) == [PictureHealth.GOOD]


def test_frozen_is_noticed_within_thirty_seconds() -> None:
    monitor = PictureMonitor()
    run(noisy(scene(1), 20), monitor)
    still = scene(1)
    reports = run(((20 + n / 5, still) for n in range(200)), monitor)
    assert states(reports) == [PictureHealth.FROZEN]
    assert 15 < reports[0][0] - 20 < 30
    assert states(run(noisy(scene(1), 10, 60), monitor)) == [PictureHealth.GOOD]


def test_a_frozen_picture_that_the_encoder_refines_again_and_again_is_frozen() -> None:
    monitor = PictureMonitor()
    run(noisy(scene(1), 20), monitor)
    still = scene(1)
    reports = run(((20 + n / 5, still + n % 5 // 2) for n in range(200)), monitor)
    assert states(reports) == [PictureHealth.FROZEN]


def test_a_slow_change_is_no_frozen_picture() -> None:
    assert run((n / 2, scene(1) + n / 10) for n in range(240)) == []


def test_a_moved_camera_is_noticed_and_a_change_of_light_is_not() -> None:
    monitor = PictureMonitor()
    run(noisy(scene(1), 60), monitor)
    assert run(noisy(scene(1), 60, 60, light=0.5), monitor) == []
    shifted = np.roll(scene(1), 80, axis=1)
    reports = run(noisy(shifted, 60, 120), monitor)
    assert states(reports) == [PictureHealth.MOVED]
    assert reports[0][0] < 150
    assert states(run(noisy(scene(1), 60, 180), monitor)) == [PictureHealth.GOOD]


def test_a_moved_camera_learns_its_new_view_in_the_end() -> None:
    monitor = PictureMonitor()
    run(noisy(scene(1), 60), monitor)
    assert states(run(noisy(scene(2), 800, 60), monitor)) == [PictureHealth.MOVED, PictureHealth.GOOD]


def test_people_passing_by_are_no_alarm() -> None:
    background = scene(4)

    def walk() -> object:
        rng = np.random.default_rng(5)
        for number in range(600):
            picture = background.copy()
            x = (number * 17) % W
            picture[40:160, x : x + 60] = 60
            yield number / 2, picture + rng.normal(0, 2, (H, W))

    assert run(walk()) == []


def test_a_look_is_cheap() -> None:
    rng = np.random.default_rng(0)
    big = [rng.integers(0, 255, (1080, 1920), np.uint8) for _ in range(2)]
    chroma = np.zeros((540, 960), np.uint8)
    monitor = PictureMonitor()
    start_s = time.process_time()
    for number in range(200):
        monitor.look(
            FrameInfo("cam", "e", number, number / 2, 0, 0, 1920, 1080), Pixels(big[number % 2], chroma, chroma)
        )
    per_look_s = (time.process_time() - start_s) / 200
    assert per_look_s * 2 < 0.004, f"{per_look_s * 1e3:.2f} ms a look, twice a second"


@pytest.mark.footage
@pytest.mark.parametrize(
    "name",
    [
        "bottle-detection.mp4",
        "car-detection.mp4",
        "highway-video02.avi",
        "one-by-one-person-detection.mp4",
        "person-parking-lot-7sec.mp4",
        "store-aisle-detection.gif",
        "worker-zone-detection.gif",
        "Retail02_short.mp4",
        "bolt-multi-size-detection.gif",
    ],
)
def test_real_footage_raises_no_alarm(shared_data: Path, name: str) -> None:
    """Looped for at least a minute, as a simulated camera would show it."""
    monitor = PictureMonitor()
    thumbs = []
    source = PyAvSource(
        check_url(str(shared_data / "videos" / name), camera_policy(), lambda _: ()), camera="c", fps=2, realtime=False
    )
    for info, pixels in source:
        thumbs.append((info, pixels.y.copy()))
    length_s = thumbs[-1][0].media_time_s + 0.5
    chroma = np.zeros((1, 1), np.uint8)
    reports = []
    for loop in range(1 + int(60 / length_s)):
        for info, luma in thumbs:
            at = FrameInfo("c", "e", 0, loop * length_s + info.t_s, 0, 0, info.width, info.height)
            report = monitor.look(at, Pixels(luma, chroma, chroma))
            if report is not None:
                reports.append((at.t_s, report))
    assert reports == []
