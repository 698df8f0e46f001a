"""Damage that FFmpeg's H.265 decoder and its RTP reader pass over: lost packets, parameter sets that make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import nal_damage
from tests.faults.damaged_stream_program import Analysis, Asked, Tally, Truth, stream
from tests.faults.nal_damage import STREAMS
from vedette.adapters.capture.opening import TCP_HELD_BACK, _live_options
from vedette.contracts.camera import Transport
from vedette.testing.camera.media import Media


@pytest.fixture(scope="module", params=STREAMS)
def shown(request: pytest.FixtureRequest) -> tuple[Media, Truth]:
    media = nal_damage.encode(request.param)
    return media, Truth(media, media.codec)


def sent(shown: tuple[Media, Truth], mode: str, folder: Path, *, gate: bool = True) -> Tally:
    return stream(*shown, Analysis(folder), Asked("", 0, 0, 0.0, gate=gate), mode, seed=3)


def test_packets_that_a_camera_leaves_out_over_tcp_are_noticed(shown: tuple[Media, Truth], tmp_path: Path) -> None:
    assert _live_options(Transport.TCP)["reorder_queue_size"] == str(TCP_HELD_BACK)
    tally = sent(shown, "packets lost", tmp_path)
    assert tally.damaged > 20
    assert tally.pictures > nal_damage.GROUP
    assert tally.wrong == 0
    assert sent(shown, "packets lost", tmp_path, gate=False).wrong > 0


def test_damaged_parameter_sets_do_not_end_the_source(shown: tuple[Media, Truth], tmp_path: Path) -> None:
    tally = sent(shown, "parameter sets", tmp_path)
    assert tally.damaged > 5
    assert tally.pictures > nal_damage.LEAD
    assert tally.stopped == 0
