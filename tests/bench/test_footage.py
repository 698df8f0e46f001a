"""What is encoded for the measurements is what their words say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from bench.footage import MAIN, Encoding, write

LENGTH = 75


def pictures() -> Iterator[av.VideoFrame]:
    """A square that moves through noise; each says, as a decoded one does, what its own encoder made of it."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 40, (90, 160, 3), np.uint8)
    for number in range(LENGTH):
        image = noise.copy()
        image[20:60, number : number + 40] = 200
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pict_type = PictureType.I if number % 10 == 0 else PictureType.P
        yield frame


def kinds(path: Path) -> str:
    """I, P or B of each picture, in the order they are shown."""
    with av.open(str(path)) as container:
        return "".join(PictureType(frame.pict_type).name for frame in container.decode(video=0))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_groups_and_b_pictures_are_as_asked(tmp_path: Path, codec: str, b_frames: int) -> None:
    encoding: Encoding = replace(MAIN, codec=codec, size=(160, 90), b_frames=b_frames, kbit=200, gop=25)
    write(tmp_path / "made.mp4", encoding, pictures())
    shown = kinds(tmp_path / "made.mp4")
    assert len(shown) == LENGTH
    assert [at for at, kind in enumerate(shown) if kind == "I"] == [0, 25, 50]
    assert set(shown) == ({"I", "P", "B"} if b_frames else {"I", "P"})
    assert shown.count("B") >= LENGTH * b_frames // (b_frames + 1) - 6
    with av.open(str(tmp_path / "made.mp4")) as container:
        container.streams.video[0].codec_context.skip_frame = "NONREF"
        assert sum(1 for _ in container.decode(video=0)) == LENGTH - shown.count("B")
