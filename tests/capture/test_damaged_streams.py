"""Damage that FFmpeg's decoders and its RTP reader pass over: what was left out or came twice, senseless parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import nal_damage
from tests.faults.damaged_stream_program import Analysis, Asked, Tally, Truth, stream
from tests.faults.nal_damage import STREAMS
from vedette.adapters.capture.damage import DamageGate
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


@pytest.mark.parametrize("mode", ["left out", "twice"])
def test_units_that_a_camera_leaves_out_or_sends_twice_are_noticed(
    shown: tuple[Media, Truth], tmp_path: Path, mode: str
) -> None:
    tally = sent(shown, mode, tmp_path)
    assert tally.damaged > 20
    assert tally.pictures > nal_damage.GROUP
    assert tally.plainly <= tally.pictures // 25, "a key picture that came twice may stand for its neighbour"
    assert tally.alerts == 0


def test_a_key_picture_from_before_a_loss_does_not_vouch_for_what_is_shown_after_it() -> None:
    gate = DamageGate(0.0)
    gate.key(100)
    gate.damage(1.0, 103)  # decoded after the key picture, before that was shown
    assert not gate.passes(key=True, corrupt=False, now_s=1.1, pts=100)
    assert not gate.passes(key=False, corrupt=False, now_s=1.1, pts=101)
    gate.key(112)
    gate.damage(1.2, 110)  # shown before the key picture, which does not refer to it
    assert gate.passes(key=True, corrupt=False, now_s=1.3, pts=112)
    assert gate.passes(key=False, corrupt=False, now_s=1.3, pts=113)


def test_damaged_parameter_sets_do_not_end_the_source(shown: tuple[Media, Truth], tmp_path: Path) -> None:
    tally = sent(shown, "parameter sets", tmp_path)
    assert tally.damaged > 5
    assert tally.pictures > nal_damage.LEAD
    assert tally.stopped == 0
