"""What grows is told from what does not, and what may grow is not called flat."""

from __future__ import annotations

import random

import pytest

from bench.slopes import Slope, course, growth, theil_sen

HOURS = [n / 360 for n in range(288)]  # every ten seconds, without the first fifth of an hour


def test_growth_is_judged_by_the_upper_end_of_its_interval() -> None:
    """A median below the limit may be ten times as much, where what is measured jumps about."""
    figure = growth("memory, growth", "MB/h", Slope(4.11, 8.09, 12.8), 10.0)
    assert figure.samples == (4.11, 8.09, 12.8)
    assert figure.met is False
    assert growth("memory, growth", "MB/h", Slope(4.11, 8.09, 9.99), 10.0).met is True


def test_short_run_judges_nothing() -> None:
    assert growth("memory, growth", "MB/h", Slope(4.11, 8.09, 12.8), 10.0, told=False).met is None


@pytest.mark.parametrize(("per_hour", "met"), [(0.0, True), (30.0, False)])
def test_slope_is_found_in_noise(per_hour: float, met: bool) -> None:
    rng = random.Random(3)
    values = [500 + per_hour * hour + rng.gauss(0, 2) for hour in HOURS]
    slope = theil_sen(HOURS, values)
    assert slope.low <= per_hour <= slope.high
    assert growth("memory, growth", "MB/h", slope, 10.0).met is met


def test_what_grows_too_much_is_told_from_beginning_to_end() -> None:
    figure = growth("threads, growth", "1/h", Slope(6.0, 8.0, 9.0), 5.0)
    told = course(figure, [10.0, 10.0, 12.0, 15.0, 15.0, 16.0, 18.0, 18.0])
    assert told == (
        "threads, growth: 6 to 9 1/h at 95 %; the median of the first quarter of the samples is 10, "
        "that of the last 18."
    )
