from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vedette.core.sampling import Sampler


def taken(fps: float, times: list[float]) -> list[float]:
    sampler = Sampler(fps)
    return [t for t in times if sampler.wants(t)]


@given(
    stream=st.floats(5, 120), asked=st.floats(0.5, 60), start=st.floats(0, 1e6), jitter=st.lists(st.floats(-0.3, 0.3))
)
@example(stream=10.0, asked=11.0, start=0.0, jitter=[0.0, 0.25])
def test_the_mean_rate_is_the_one_asked_for(stream: float, asked: float, start: float, jitter: list[float]) -> None:
    seconds = 40
    times = [start + (i + (jitter[i % len(jitter)] if jitter else 0.0)) / stream for i in range(int(stream * seconds))]
    got = taken(asked, times)
    expected = min(asked, stream) * seconds
    assert got[0] == times[0], "the first picture is taken at once"
    assert abs(len(got) - expected) <= 2 + 0.02 * expected


def test_25_to_10_does_not_sink_to_a_divisor() -> None:
    got = taken(10, [i / 25 for i in range(250)])
    assert len(got) == 100
    assert max(b - a for a, b in itertools.pairwise(got)) <= 0.12 + 1e-9


def test_no_burst_follows_a_gap() -> None:
    times = [i / 25 for i in range(25)] + [100 + i / 25 for i in range(25)]
    got = [t for t in taken(5, times) if t >= 100]
    assert got == pytest.approx([100, 100.2, 100.4, 100.6, 100.8], abs=0.05)


def test_after_a_short_gap_one_picture_comes_early_and_then_the_grid_holds() -> None:
    times = [i / 25 for i in range(25)] + [1.6 + i / 25 for i in range(25)]
    assert [t for t in taken(5, times) if t >= 1.6] == pytest.approx([1.6, 1.64, 1.84, 2.04, 2.24, 2.44], abs=0.05)


def test_time_that_goes_back_starts_anew() -> None:
    assert taken(1, [50.0, 50.5, 3.0, 3.5, 4.0]) == [50.0, 3.0, 4.0]


def test_a_change_of_rate_works_at_once() -> None:
    sampler = Sampler(0.1)
    assert sampler.wants(0.0)
    sampler.set_fps(10)
    assert sampler.wants(0.1)
    sampler.set_fps(math.inf)
    assert sampler.wants(0.11)
    assert sampler.wants(0.111)


@pytest.mark.parametrize("fps", [0, -1, math.nan])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Sampler(fps)
