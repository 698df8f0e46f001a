"""A clip with people covered: as long, as large, as timed as the original, and nobody in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.core.test_masking import Box, batch
from tests.privacy.clips import cut_of, frames
from tests.privacy.footage import EPOCH
from vedette.adapters.evidence.cover import FILL
from vedette.adapters.evidence.covered_clip import write_covered_clip
from vedette.adapters.evidence.masker import PeopleMasker
from vedette.contracts.errors import EvidenceError
from vedette.core.masking import TrackMasking
from vedette.core.people import Watch
from vedette.testing.synthetic import Image, make_clip

WIDTH, HEIGHT = 320, 240
WATCH = Watch("shop/people")
BODY: Box = (200, 60, 250, 200)
HEAD = (slice(62, 106), slice(202, 248))


def lively(number: int, width: int, height: int) -> Image:
    """Blocks of bright colours that change from picture to picture."""
    blocks = np.random.default_rng(number // 5).integers(110, 256, (height // 8, width // 8, 3), np.uint8)
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))


@pytest.fixture(scope="module", params=["h264", "h265"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / f"{request.param}.mp4"
    path.write_bytes(
        make_clip(frames=50, fps=10, width=WIDTH, height=HEIGHT, codec=request.param, b_frames=2, draw=lively)
    )
    return path


def tracks(until: float = 8.0, since: float = 0.0) -> TrackMasking:
    looks = [
        batch(t, (1, BODY, "person"), epoch=EPOCH, size=(WIDTH, HEIGHT))
        for t in np.arange(0, 8, 0.2).round(3).tolist()
        if since <= t <= until
    ]
    return TrackMasking(looks, [WATCH])


def near_fill(part: NDArray[np.uint8]) -> bool:
    return bool(np.abs(part.astype(int) - FILL).max() <= 12)


def test_every_picture_is_there_at_its_time_and_covered(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    cut = cut_of(original)
    written = write_covered_clip(cut, PeopleMasker(tracks(), watched=True), path)
    before, after = list(frames(original)), list(frames(path))
    assert written.reencoded
    assert written.pictures == len(before) == len(after) == 50
    assert written.duration_s == pytest.approx(5.0, abs=0.01)
    assert written.covered_s == 0.0
    assert written.first_media_time_s == 0.0
    for (t, picture), (shown_t, covered) in zip(before, after, strict=True):
        assert shown_t == pytest.approx(t - before[0][0], abs=0.002)
        assert covered.shape == picture.shape
        assert near_fill(covered[HEAD])
        assert np.abs(covered[:50, :160].astype(int) - picture[:50, :160]).mean() < 12
        assert not near_fill(picture[HEAD])


def test_whoever_waits_is_asked_at_each_picture_of_both_passes(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[int] = []
    masker = PeopleMasker(tracks(), watched=True)
    look = masker.look

    def counted(*arguments: Any) -> None:
        ticks.append(0)
        look(*arguments)

    monkeypatch.setattr(masker, "look", counted)
    written = write_covered_clip(cut_of(original), masker, tmp_path / "clip.mp4", tick=lambda: ticks.append(1))
    assert ticks == [1, 0] * written.pictures + [1] * written.pictures


def test_the_file_begins_with_what_a_browser_needs(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_covered_clip(cut_of(original), PeopleMasker(tracks(), watched=True), path)
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert len(container.streams) == 1


def test_no_packet_of_the_camera_is_in_the_file(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    cut = cut_of(original)
    write_covered_clip(cut, PeopleMasker(tracks(), watched=True), path)
    content = path.read_bytes()
    payloads = [packet.data[8:72] for packet in cut.packets if len(packet.data) >= 80]
    assert payloads
    assert all(payload not in content for payload in payloads)
    assert payloads[0] in original.read_bytes()


def test_pictures_of_which_nothing_is_known_are_filled_and_counted(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    written = write_covered_clip(cut_of(original), PeopleMasker(tracks(until=2.4), watched=True), path)
    assert 2.0 < written.covered_s < 3.2
    pictures = dict(enumerate(picture for _, picture in frames(path)))
    assert near_fill(pictures[45])
    assert not near_fill(pictures[5])


def test_a_clip_of_which_nothing_is_known_is_not_made(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with pytest.raises(EvidenceError) as caught:
        write_covered_clip(cut_of(original), PeopleMasker(tracks(until=-1), watched=True), path)
    assert caught.value.code == "V902"
    assert not path.exists()


def test_a_damaged_packet_takes_only_its_own_pictures_with_it(original: Path, tmp_path: Path) -> None:
    cut = cut_of(original)
    packets = list(cut.packets)
    packets[20] = replace(packets[20], data=b"\x00\x00\x00\x04\xff\xff\xff\xff" * 4)
    written = write_covered_clip(
        replace(cut, packets=tuple(packets)), PeopleMasker(tracks(), watched=True), tmp_path / "clip.mp4"
    )
    assert 20 <= written.pictures < 51


@pytest.mark.parametrize("packets", [0, 3], ids=["none", "noise"])
def test_what_is_no_video_is_refused(original: Path, tmp_path: Path, packets: int) -> None:
    cut = cut_of(original)
    noise = tuple(replace(packet, data=b"\x00\x00\x00\x08noise!!!") for packet in cut.packets[:packets])
    with pytest.raises(EvidenceError) as caught:
        write_covered_clip(
            replace(cut, packets=noise, media_times_s=cut.media_times_s[:packets]),
            PeopleMasker(tracks(), watched=True),
            tmp_path / "clip.mp4",
        )
    assert caught.value.code == "V901"


def test_a_full_disk_is_told(original: Path) -> None:
    with pytest.raises(EvidenceError) as caught:
        write_covered_clip(cut_of(original), PeopleMasker(tracks(), watched=True), Path("/dev/full"))
    assert caught.value.code == "V901"
