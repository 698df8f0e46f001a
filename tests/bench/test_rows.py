"""What the rows make of what was measured: a run that went wrong misses its target, and notes come from figures."""

from __future__ import annotations

from bench.result import all_at_most, at_most
from bench.rows import startup
from bench.rows.startup import Start


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
