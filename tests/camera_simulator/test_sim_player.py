"""The camera's clock, with a simulated one."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from vedette.testing.camera.faults import Corrupt, Jitter, Loss, NoKeyframes
from vedette.testing.camera.media import CLOCK_HZ, Media
from vedette.testing.camera.player import LoopStart, Player, Sent


class Stage:
    """A player with a clock that is moved by hand."""

    def __init__(self, media: Media, rtp_start: int | None = 0) -> None:
        self.now_s = 1000.0
        self.sent: list[tuple[float, Sent]] = []
        self.loops: list[LoopStart] = []
        self.player = Player(
            camera="hall",
            media=media,
            now_s=self.now_s,
            on_sent=lambda sent: self.sent.append((self.now_s, sent)),
            on_loop=self.loops.append,
            wall=lambda: self.now_s + 5e8,
            rtp_start=rtp_start,
        )

    def run(self, seconds: float) -> None:
        end = self.now_s + seconds
        while self.player.next_due_s() <= end:
            self.now_s = max(self.now_s, self.player.next_due_s()) + 1e-6
            self.player.advance(self.now_s)
        self.now_s = end

    def times(self) -> list[int]:
        return [sent.rtp_time for _, sent in self.sent]


def differences(values: list[int]) -> set[int]:
    ordered = sorted(values)
    return {b - a for a, b in itertools.pairwise(ordered)}


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 2)])
def test_rtp_time_and_pace_go_on_over_the_seam(media: Callable[..., Media], codec: str, b_frames: int) -> None:
    stage = Stage(media(codec, b_frames=b_frames))
    stage.run(5.0)
    assert len(stage.sent) == pytest.approx(125, abs=2)
    assert differences(sorted(stage.times())[:-3]) == {3600}, "B-frames of the last pictures are still to come"
    sent_at = [at for at, _ in stage.sent]
    gaps = [b - a for a, b in itertools.pairwise(sent_at)]
    assert max(gaps) < 0.0401
    assert min(gaps) > 0.0399
    sequences = [int.from_bytes(p[2:4]) for _, sent in stage.sent for p in sent.packets]
    assert {(b - a) % 65536 for a, b in itertools.pairwise(sequences)} == {1}
    lead = -stage.player.media.units[0].dts
    assert all(s.rtp_time + lead >= (at - 1000) * CLOCK_HZ - 1 for at, s in stage.sent), "stamped before it was sent"


def test_loop_starts_are_published(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264", b_frames=2), rtp_start=2**32 - 100)
    stage.run(5.0)
    assert [start.loop for start in stage.loops] == [0, 1, 2, 3]
    for start in stage.loops:
        assert start.monotonic_s == pytest.approx(1000 + 1.6 * start.loop, abs=1e-4)
        assert start.wall_time_s == pytest.approx(5e8 + 1000 + 1.6 * start.loop, abs=1e-4)
        assert (start.duration_s, start.source, start.reason) == (1.6, "h264.mp4", "start")
        of_loop = [sent for at, sent in stage.sent if abs(at - start.monotonic_s) < 1e-9]
        assert [sent.rtp_time for sent in of_loop] == [start.rtp_time]
    assert stage.loops[1].rtp_time < stage.loops[0].rtp_time, "the 32-bit clock wraps in this test"


def test_the_pictures_since_the_key_picture_are_kept(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264"))
    for _ in range(90):
        stage.run(0.04)
        assert stage.player.gop[0].key
        assert not any(sent.key for sent in list(stage.player.gop)[1:])
        numbers = [sent.number for sent in stage.player.gop]
        assert numbers == list(range(numbers[0], stage.sent[-1][1].number + 1))


def test_a_replacement_and_back_never_turn_time_back(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264"))
    stage.run(1.0)
    stage.player.replace(media("h264", width=160), stage.now_s)
    stage.run(3.0)
    assert [start.loop for start in stage.loops] == [0, 1, 2], "the scene goes on behind the replacement"
    before = len(stage.sent)
    stage.player.resume_scene(stage.now_s)
    burst = [sent for _, sent in stage.sent[before:]]
    assert burst[0].key
    assert len(burst) == 21, "everything since the key picture 80 pictures after the start"
    stage.run(1.0)
    times = stage.times()
    assert all(b > a for a, b in itertools.pairwise(times))
    assert times[-1] - times[-2] == 3600


def test_a_player_that_was_stopped_goes_to_the_present(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264"))
    stage.run(1.0)
    before = len(stage.sent)
    stage.now_s += 30.0
    stage.player.advance(stage.now_s)
    burst = [sent for _, sent in stage.sent[before:]]
    assert burst[0].key
    assert len(burst) <= 26, "no more than one group of pictures, not 30 s of them"
    stage.run(1.0)
    times = stage.times()
    assert all(b > a for a, b in itertools.pairwise(times))


def test_a_time_jump_is_published_and_undone(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264"))
    stage.run(1.0)
    stage.player.shift_time(2**31)
    stage.run(0.2)
    assert stage.loops[-1].reason == "rebase"
    assert stage.loops[-1].rtp_time == 2**31
    stage.player.shift_time(-(2**31))
    stage.run(1.0)
    times = stage.times()
    steps = [(b - a) % 2**32 for a, b in itertools.pairwise(times)]
    assert sorted(set(steps)) == [3600, 2**31 + 3600]
    assert steps.count(2**31 + 3600) == 2


def test_a_restart_takes_new_numbers(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264"), rtp_start=None)
    stage.run(1.0)
    before = stage.player.ssrc
    stage.player.restart()
    assert stage.player.ssrc != before
    assert stage.loops[-1].reason == "rebase"
    assert stage.player.gop[0].key


def test_bit_errors_are_repeatable_and_spare_parameter_sets(media: Callable[..., Media]) -> None:
    runs: list[list[list[bytes]]] = []
    for _ in range(2):
        stage = Stage(media("h264"))
        stage.player.ssrc, stage.player._sequence = 1, 1
        stage.player.effects.start(Corrupt(probability=0.3, seed=4))
        stage.run(4.0)
        runs.append([sent.wire for _, sent in stage.sent])
        damaged = [sent for _, sent in stage.sent if sent.wire != sent.packets]
        assert 15 < len(damaged) < 50
        assert list(stage.player.spoiled) == [sent.rtp_time for sent in damaged]
        for _, sent in stage.sent:
            assert [p[:13] for p in sent.wire] == [p[:13] for p in sent.packets], "RTP and NAL headers stay whole"
            if sent.key:
                assert sent.wire[0] == sent.packets[0], "parameter sets stay whole"
        stage.player.effects.stop("corrupt")
        stage.run(0.5)
        assert stage.sent[-1][1].wire is stage.sent[-1][1].packets
    assert runs[0] == runs[1]


def test_loss_and_missing_key_pictures(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264"))
    stage.player.effects.start(NoKeyframes())
    stage.run(1.6)
    assert [bool(sent.wire) for _, sent in stage.sent] == [not sent.key for _, sent in stage.sent]
    stage.player.effects.stop("no_keyframes")
    stage.sent.clear()
    stage.player.effects.start(Loss(probability=0.2, seed=1))
    stage.run(16.0)
    full = sum(len(sent.packets) for _, sent in stage.sent)
    kept = sum(len(sent.wire) for _, sent in stage.sent)
    assert 0.7 < kept / full < 0.9


def test_jitter_delays_without_drift(media: Callable[..., Media]) -> None:
    stage = Stage(media("h264"))
    stage.player.effects.start(Jitter(up_to_ms=200))
    stage.run(8.0)
    lateness = [at - 1000 - sent.rtp_time / CLOCK_HZ for at, sent in stage.sent]
    assert min(lateness) >= 0
    assert max(lateness[:50]) > 0.1
    assert max(lateness) < 0.25, "delays do not add up"
    assert differences(stage.times()) == {3600}
