"""Evidence shows what code drew: over covered pictures, at the right moment, and only there."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from tests.privacy.clips import cut_of
from vedette.adapters.evidence.covered_clip import write_covered_clip
from vedette.adapters.evidence.drawings import HELD_S, Drawings, Uncovered
from vedette.contracts.frames import FrameInfo
from vedette.contracts.tracks import Note, TrackBatch
from vedette.testing.synthetic import empty_picture, make_clip

SIZE = (320, 180)
BOX = (80.0, 45.0, 240.0, 135.0)


def batch(t: float, epoch: str = "e", *, notes: tuple[Note, ...] = (), size: tuple[int, int] = SIZE) -> TrackBatch:
    info = FrameInfo("gate", epoch, round(t * 10), t, t, 1000 + t, *size)
    return TrackBatch("app/out", info, (1,), (BOX,), ("thing",), (1.0,), notes=notes)


def test_what_stands_in_a_picture() -> None:
    drawings = Drawings([batch(2.0), batch(1.0), batch(1.0, "other")])
    assert drawings.at("e", 0.9) is None
    for t, expected in ((1.0, 1.0), (1.0 + HELD_S - 0.01, 1.0), (2.0, 2.0)):
        found = drawings.at("e", t)
        assert found is not None
        assert (found.frame.epoch, found.frame.media_time_s) == ("e", expected)
    assert drawings.at("e", 1.0 + HELD_S + 0.1) is None
    assert drawings.at("e", 2.0 + HELD_S + 0.1) is None
    assert drawings.at("third", 1.0) is None
    assert not Drawings([])


def test_rectangles_and_free_texts_are_drawn_at_the_picture_s_own_size() -> None:
    drawings = Drawings([batch(1.0, notes=(Note("seen é", 0.9, 0.99),), size=(640, 360))])
    picture = np.full((180, 320, 3), 90, np.uint8)
    drawn = drawings.draw(picture.copy(), "e", 1.0)
    changed = np.argwhere((drawn != picture).any(axis=2))
    assert (changed.min(0) >= 0).all()
    assert (drawn[60, 40] != 90).any(), "the left edge, at half the size"
    assert (drawn[100, 250] == 90).all(), "inside nothing is drawn"
    assert (drawn[170:, 250:] != 90).any(), "the free text, moved into the picture"
    assert drawings.draw(picture, "e", 9.0) is picture


def test_a_clip_has_them_at_their_moment(tmp_path: Path) -> None:
    source, at_s = tmp_path / "clip.mp4", 0.5
    source.write_bytes(make_clip(frames=15, fps=10, width=SIZE[0], height=SIZE[1], draw=empty_picture))
    cut = cut_of(source)
    epoch = cut.packets[0].stream.epoch
    written = write_covered_clip(cut, Uncovered(), tmp_path / "out.mp4", Drawings([batch(at_s, epoch)]))
    assert written.reencoded
    with av.open(str(tmp_path / "out.mp4")) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    edges = [picture[90, 78:83].astype(int) for picture in pictures]
    green = [bool(((edge[:, 1] - edge[:, 2]) > 40).any()) for edge in edges]
    assert green == [at_s <= number / 10 <= at_s + HELD_S for number in range(len(pictures))]
