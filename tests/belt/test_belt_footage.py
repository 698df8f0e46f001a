"""Footage on disk: whole or not there, made once, the truth beside it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from vedette.contracts.errors import StorageError
from vedette.testing.belt import Belt, BeltSettings, cache_directory, footage, make_truth, read_truth
from vedette.testing.belt.footage import MAX_KEPT
from vedette.testing.belt.settings import FPS, HEIGHT_PX
from vedette.testing.camera import load_media

LOOP = BeltSettings(seed=21, duration_s=12)
#: For tests that look at files and not into pictures.
SHORT = BeltSettings(seed=21, duration_s=6, speed_px=10.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("belt")
    footage(LOOP, folder)
    return folder


def test_it_is_made_once_and_its_progress_is_told(tmp_path: Path) -> None:
    shares: list[float] = []
    first = footage(SHORT, tmp_path, progress=shares.append)
    assert first.rendered_s > 0
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    made_at = first.video.stat().st_mtime_ns
    second = footage(SHORT, tmp_path, progress=lambda _share: pytest.fail("rendered again"))
    assert second.rendered_s == 0
    assert second.video.stat().st_mtime_ns == made_at
    assert second.truth == make_truth(SHORT)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl", ".mp4"]


def test_the_truth_lies_beside_it(made: Path) -> None:
    lines = footage(LOOP, made).video.with_suffix(".jsonl").read_text().splitlines()
    assert len(lines[0]) > 64  # the digest
    assert read_truth(lines[1:]).parts[0].number == 1


def test_other_settings_are_other_footage() -> None:
    keys = {
        replace(LOOP, **change).key
        for change in (
            {},
            {"seed": 22},
            {"defective": 0.5},
            {"duration_s": 20},
            {"light": replace(LOOP.light, gain=0.9)},
        )
    }
    assert len(keys) == 5


def test_damaged_footage_is_made_again(tmp_path: Path) -> None:
    first = footage(SHORT, tmp_path)
    content = first.video.read_bytes()
    first.video.write_bytes(content[: len(content) // 2])
    again = footage(SHORT, tmp_path)
    assert again.rendered_s > 0
    assert again.video.read_bytes() == content


def test_a_process_killed_while_rendering_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vedette.testing.belt import BeltSettings, footage;"
        "loop = BeltSettings(seed=21, duration_s=6, speed_px=10.5);"
        "footage(loop, Path(sys.argv[1]), progress=lambda share: print(share, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if float(line) > 0.5:
                os.kill(process.pid, signal.SIGKILL)
                break
    left = list(tmp_path.iterdir())
    assert left
    assert not [path for path in left if path.suffix == ".mp4"]
    assert footage(SHORT, tmp_path).rendered_s > 0
    old = time.time() - 4000
    for path in left:
        os.utime(path, (old, old))
    footage(replace(SHORT, seed=22), tmp_path)
    assert not [path for path in left if path.exists()]


def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_KEPT + 3):
        (tmp_path / f"belt-{number:016x}.mp4").write_bytes(b"old")
        os.utime(tmp_path / f"belt-{number:016x}.mp4", (number, number))
    kept = footage(SHORT, tmp_path).video
    videos = set(tmp_path.glob("belt-*.mp4"))
    assert len(videos) == MAX_KEPT
    assert kept in videos
    assert tmp_path / f"belt-{0:016x}.mp4" not in videos


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="V707") as caught:
        footage(LOOP, tmp_path / "file" / "cache")
    assert "XDG_CACHE_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/vedette/belt"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/vedette/belt"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/vedette/belt"),
    ],
)
def test_where_it_is_kept(environment: dict[str, str], folder: str) -> None:
    assert cache_directory(environment) == Path(folder)


def test_the_camera_simulator_sends_it_as_it_is(made: Path) -> None:
    media = load_media(footage(LOOP, made).video)
    assert media.passed_through
    assert media.codec == "h264"
    assert len(media.units) == LOOP.frames
    assert media.duration_s == pytest.approx(LOOP.duration_s)
    keys = [number for number, unit in enumerate(media.units) if unit.key]
    assert keys == list(range(0, LOOP.frames, FPS))
    assert all(unit.pts == unit.dts for unit in media.units)


def test_what_is_decoded_is_what_was_rendered(made: Path) -> None:
    belt = Belt(LOOP)
    with av.open(str(footage(LOOP, made).video)) as container:
        for number, frame in enumerate(itertools.islice(container.decode(video=0), 120)):
            if number % 40:
                continue
            decoded = frame.to_ndarray(format="yuv420p")[:HEIGHT_PX].astype(int)
            error = np.abs(decoded - belt.frame(number)[:HEIGHT_PX].astype(int))
            assert error.mean() < 3
