"""What the rows make of what was measured: a run that went wrong misses its target, and notes come from figures."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from bench.result import all_at_most, at_most
from bench.rows import idle, peers, startup
from bench.rows.idle import AGAIN, PLAIN, RESTS, Outcome
from bench.rows.startup import Start
from vedette.core.rest import SETTLE_S


def test_one_slow_start_misses_what_the_median_meets() -> None:
    samples = [2.5, 4.9, 2.6, 2.5, 2.6]
    assert at_most("first alert", "s", samples, 3.0).met is True
    figure = all_at_most("first alert", "s", samples, 3.0)
    assert (figure.met, figure.target, figure.median) == (False, "each ≤ 3", 2.6)
    assert all_at_most("first alert", "s", samples[2:], 3.0).met is True


def test_slowest_start_is_judged_and_told() -> None:
    starts = [Start(2.5, 2.4, 2.7), Start(4.95, 2.61, 5.09), Start(2.6, 2.55, 2.75)]
    judged = startup._figures(starts)[0]
    assert judged.met is False
    assert judged.samples == (2.5, 4.95, 2.6)
    assert startup._slowest(starts) == (
        "The slowest start had its first picture analysed after 2.61 s and its alert 2.34 s later."
    )


@pytest.mark.parametrize(("gop_s", "expected_s"), [(1, 12.0), (2, 12.0), (10, 33.0)])
def test_pieces_stand_still_for_long_enough_to_rest(gop_s: int, expected_s: float) -> None:
    """Wherever a key picture falls: two whole groups lie between the one that begins the rest and what moves."""
    assert idle.still_s(gop_s) == expected_s
    for tenth in range(gop_s * 10):
        first_s = tenth / 10 + gop_s * math.ceil((SETTLE_S - tenth / 10) / gop_s)
        assert first_s + 2 * gop_s <= expected_s


def cameras(rests: int, again: int, spared: float) -> Outcome:
    """Ten events each, less so many."""
    events = {name: Counter(strip=10 - less) for name, less in ((PLAIN, 0), (AGAIN, again), (RESTS, rests))}
    return Outcome(events, (0.0, 0.5), spared)


def missed(outcome: Outcome) -> list[str]:
    """Names of the figures that miss their target."""
    return [figure.name for figure in idle._figures(10, outcome) if figure.met is False]


def test_run_in_which_nothing_rested_misses_its_target() -> None:
    assert missed(cameras(rests=0, again=0, spared=48.0)) == []
    assert missed(cameras(rests=0, again=0, spared=0.34)) == ["GOP 10 s: pictures not analysed"]
    assert missed(cameras(rests=1, again=0, spared=48.0)) == ["GOP 10 s: events lost by resting"]


def test_what_the_camera_that_rests_lacks_is_told_beside_one_that_never_does() -> None:
    assert "GOP 10 s: of 10 events 1 missing where it rests, 2 where it never does." in idle._differences(
        {10: cameras(rests=1, again=2, spared=48.0)}
    )


def test_who_finds_one_person_less_has_not_found_as_many() -> None:
    """There is one person at most, so that a tolerance of one would forgive finding nobody at all."""
    assert peers.as_many([0, 1, 1, 1], [0, 1, 1, 1]) == 100
    assert peers.as_many([0, 0, 0, 0], [0, 1, 1, 1]) == 25
    assert peers.as_many([0, 1], [0, 1, 1, 1]) == 50
