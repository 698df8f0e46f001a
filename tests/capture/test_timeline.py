from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.timeline import DRIFT, LAG_LIMIT_S, REORDER_LIMIT_S, FileTimeline, Lag, LiveTimeline, ReorderDelay

stamps = st.none() | st.floats(-1e5, 1e5) | st.sampled_from([0.0, 2**31 / 90000, 2**32 / 90000, -(2**31) / 90000])
steps = st.lists(st.tuples(stamps, st.floats(0, 5)), min_size=1, max_size=60)


@given(steps)
def test_live_time_always_goes_forward_and_stays_near_the_arrival(steps: list[tuple[float | None, float]]) -> None:
    timeline = LiveTimeline()
    arrival = 1000.0
    last_t, last_media = -math.inf, -math.inf
    for number, (stamp, wait) in enumerate(steps):
        arrival += wait
        times = timeline.next(stamp, arrival)
        assert times.t_s > last_t
        assert times.media_time_s > last_media
        assert times.media_time_s >= 0
        assert times.t_s <= arrival + 1e-6 * (number + 1) + 1e-3
        assert times.t_s >= arrival - LAG_LIMIT_S - 5 * 1e-3 - 1e-6
        last_t, last_media = times.t_s, times.media_time_s


@given(st.lists(st.floats(0, 0.4), min_size=50, max_size=200))
def test_bursts_on_the_way_do_not_show(delays: list[float]) -> None:
    timeline = LiveTimeline()
    arrival = 0.0
    times = []
    for number, delay in enumerate([0.0, *delays]):
        arrival = max(arrival, 5000 + number / 25 + delay)
        times.append(timeline.next(number / 25, arrival))
    gaps = [b.t_s - a.t_s for a, b in itertools.pairwise(times)]
    # While everything comes late, the difference to the stream's clock grows by DRIFT; one punctual picture ends that.
    drifted_s = DRIFT * (arrival - 5000)
    assert gaps == pytest.approx([0.04] * len(gaps), abs=drifted_s + 1e-4)
    assert times[-1].media_time_s == pytest.approx(len(delays) / 25, abs=1e-6)


def test_what_waited_while_nothing_was_read_keeps_its_time() -> None:
    timeline, away_s, fps = LiveTimeline(), 6.0, 25
    times = [timeline.next(number / fps, 1000 + number / fps).t_s for number in range(250)]
    arrival = 1010 + away_s
    timeline.away(away_s, arrival)
    for number in range(250, 700):  # four times as fast as they were sent, until they are up to date
        arrival = max(arrival + 1 / (4 * fps), 1000 + number / fps)
        times.append(timeline.next(number / fps, arrival).t_s)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) < 1.1 / fps
    assert times[-1] == pytest.approx(arrival, abs=0.01)


def test_a_camera_that_paused_while_nothing_was_read_is_not_late_for_ever() -> None:
    timeline, fps = LiveTimeline(), 25
    for number in range(250):
        timeline.next(number / fps, 1000 + number / fps)
    timeline.away(6.0, 1016.0)
    for number in range(250, 1000):
        arrival = 1016 + number / fps - 10
        late_s = arrival - timeline.next(number / fps, arrival).t_s
    assert late_s < 0.1


def test_a_jump_of_the_stamps_is_no_jump_of_time() -> None:
    for jump in (3600.0, -3600.0, 2**31 / 90000, -(2**31) / 90000):
        timeline = LiveTimeline()
        times = [timeline.next(i / 25 + (jump if i >= 50 else 0), 100 + i / 25) for i in range(100)]
        gaps = [b.t_s - a.t_s for a, b in itertools.pairwise(times)]
        assert gaps == pytest.approx([0.04] * 99, abs=0.001), jump
        assert times[-1].media_time_s == pytest.approx(99 / 25, abs=0.01)


def test_missing_stamps_fall_back_to_the_arrival() -> None:
    timeline = LiveTimeline()
    times = [timeline.next(None, 7 + i / 10) for i in range(10)]
    assert [t.t_s for t in times] == pytest.approx([7 + i / 10 for i in range(10)])
    assert times[-1].media_time_s == pytest.approx(0.9)


def test_a_clock_that_drifts_is_followed() -> None:
    timeline = LiveTimeline()
    lag = 0.0
    for i in range(25 * 3600):
        arrival = i / 25 * 1.0001  # the camera's clock is 100 ppm slow
        lag = arrival - timeline.next(i / 25, arrival).t_s
    assert abs(lag) < 0.01


def test_a_file_begins_at_zero_whatever_its_edit_list_says() -> None:
    timeline = FileTimeline(0.04)
    times = [timeline.next(s) for s in (1.5, 1.54, 1.58, None, 1.66, 1.66, 0.2, 0.24)]
    assert [t.media_time_s for t in times] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.20, 0.24, 0.28])
    assert all(t.t_s == t.media_time_s for t in times)


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_a_file_never_goes_back(stamps: list[float | None]) -> None:
    timeline = FileTimeline(0.04)
    times = [timeline.next(stamp).media_time_s for stamp in stamps]
    assert all(b > a for a, b in itertools.pairwise(times))


def test_key_pictures_tell_how_long_the_decoder_holds_pictures_back() -> None:
    delay = ReorderDelay()
    assert delay.seconds == 0.0
    delay.packet(9000, 10.0)
    delay.picture(18000, 10.1)  # not a key picture: says nothing
    assert delay.seconds == 0.0
    delay.picture(9000, 10.2)
    assert delay.seconds == pytest.approx(0.2)
    delay.packet(99000, 11.0)
    delay.picture(99000, 31.0)  # a stall is not the decoder's delay
    assert delay.seconds == REORDER_LIMIT_S
    for number in range(100):
        delay.packet(number, float(number))
    delay.picture(9000, 200.0)  # long forgotten
    assert delay.seconds == REORDER_LIMIT_S


def test_a_link_that_carries_half_makes_pictures_ever_later() -> None:
    lag = Lag()
    late_s = [lag.note(number / 25, 1000.0 + number / 12.5) for number in range(500)]
    assert late_s[0] == 0.0
    assert late_s[-1] == pytest.approx(499 / 25, rel=0.02)
    assert all(b >= a - 1e-6 for a, b in itertools.pairwise(late_s))


@given(st.lists(st.floats(0, 0.4), min_size=50, max_size=200))
def test_bursts_are_late_by_what_they_waited(delays: list[float]) -> None:
    lag = Lag()
    for number, delay in enumerate([0.0, *delays]):
        assert 0.0 <= lag.note(number / 25, 5000 + number / 25 + delay) <= delay + 1e-6


def test_a_pause_of_the_camera_and_stamps_that_jump_are_not_late() -> None:
    lag = Lag()
    assert lag.note(10.0, 500.0) == 0.0
    assert lag.note(40.0, 530.0) == pytest.approx(0.0, abs=0.02), "nothing came for half a minute"
    assert lag.note(1e5, 530.04) == 0.0, "ahead"
    assert lag.note(2.0, 530.08) == 0.0, "back"
    assert lag.note(2.04, 530.12) == pytest.approx(0.0, abs=1e-3)


def test_a_camera_whose_clock_is_slower_is_not_late() -> None:
    lag = Lag()
    assert max(lag.note(number * 10.0, number * 10.0 * 1.0004) for number in range(10_000)) < 0.01


@given(steps)
def test_lateness_is_never_negative_and_no_longer_than_all_that_was_waited(
    steps: list[tuple[float | None, float]],
) -> None:
    lag, arrival = Lag(), 1000.0
    for stamp, wait in steps:
        arrival += wait
        if stamp is not None:
            assert 0.0 <= lag.note(stamp, arrival) <= arrival - 1000.0 + 1e-3
