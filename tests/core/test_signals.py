"""Signals at their moments, pulses that overlap, with a clock of the test."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.core.signals import Give, GiveUp, Rest, SignalQueue, Timing, Wait

SLACK_S = 1e-6


class Bench:
    """Does what the queue says, at once.

    Args:
        fails: which attempts do not work.
        meanwhile: what is added while a signal is being given, one with each: how much later than that it is due.
    """

    def __init__(self, timing: Timing, fails: list[bool] | None = None, meanwhile: list[float] | None = None) -> None:
        self.timing = timing
        self.queue = SignalQueue(timing)
        self.now_s = 0.0
        self.given: list[tuple[int, float]] = []
        self.given_up: list[tuple[int, float]] = []
        self.rests: list[float] = []
        self.fails = list(fails or ())
        self.meanwhile = list(meanwhile or ())
        self.dues: list[float] = []

    def add(self, due_s: float) -> None:
        self.queue.add(len(self.dues), due_s)
        self.dues.append(due_s)

    def works(self) -> bool:
        return not (self.fails and self.fails.pop(0))

    def run(self, until_s: float) -> None:
        for _ in range(20_000):
            step = self.queue.next(self.now_s)
            if isinstance(step, Wait):
                assert step.until_s > self.now_s, "the clock stands still"
                if step.until_s > until_s:
                    self.now_s = until_s
                    return
                self.now_s = step.until_s
            elif isinstance(step, Give):
                assert self.now_s >= step.due_s
                if self.meanwhile:
                    self.add(self.now_s + self.meanwhile.pop(0))
                if self.works():
                    self.queue.given(self.now_s)
                    self.given.append((step.key, self.now_s))
                else:
                    self.queue.not_given(self.now_s, 0.01, in_doubt=True)
            elif isinstance(step, GiveUp):
                self.given_up.append((step.key, step.late_by_s))
            else:
                assert isinstance(step, Rest)
                if self.works():
                    self.queue.rested(self.now_s)
                    self.rests.append(self.now_s)
                else:
                    self.queue.not_rested(self.now_s, 0.01)
        raise AssertionError("the queue never rests")


def test_a_signal_is_given_at_its_moment_and_ends_in_time() -> None:
    bench = Bench(Timing(after_s=0.8, pulse_s=0.1))
    bench.queue.add(1, 0.8)
    bench.queue.add(2, 2.0)
    bench.run(5.0)
    assert bench.given == [(1, 0.8), (2, 2.0)]
    assert bench.rests == pytest.approx([0.9, 2.1])
    assert bench.queue.next(bench.now_s) == Wait(math.inf)


def test_moments_count_not_the_order_of_arrival() -> None:
    bench = Bench(Timing(after_s=1.0))
    for key, due_s in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 1.0)):
        bench.queue.add(key, due_s)
    bench.run(5.0)
    assert bench.given == [(2, 1.0), (4, 1.0), (3, 2.0), (1, 3.0)]
    assert bench.rests == []


def test_pulses_that_overlap_stay_on() -> None:
    bench = Bench(Timing(after_s=0.0, pulse_s=0.2))
    for key in range(3):
        bench.queue.add(key, key * 0.1)
    bench.run(5.0)
    assert [at_s for _, at_s in bench.given] == [0.0, 0.1, 0.2]
    assert bench.rests == pytest.approx([0.4])


def test_pulses_that_overlap_are_edges_of_their_own_where_asked_for() -> None:
    bench = Bench(Timing(after_s=0.0, pulse_s=0.2, again=True, gap_s=0.03))
    for key in range(3):
        bench.queue.add(key, key * 0.1)
    bench.run(5.0)
    assert [at_s for _, at_s in bench.given] == pytest.approx([0.0, 0.1, 0.2])
    assert bench.rests == pytest.approx([0.07, 0.17, 0.4])


def test_a_moment_that_has_passed_is_not_served() -> None:
    bench = Bench(Timing(after_s=1.0, late_s=0.25))
    bench.now_s = 10.0
    bench.queue.add(1, 9.0)
    bench.queue.add(2, 9.75)
    bench.run(12.0)
    assert bench.given_up == [(1, 1.0)]
    assert bench.given == [(2, 10.0)]


def test_a_signal_that_comes_while_another_is_given_is_not_taken_for_it() -> None:
    bench = Bench(Timing(after_s=0.0, late_s=0.25), meanwhile=[-0.1])
    bench.add(1.0)
    bench.run(9.0)
    assert bench.given == [(0, 1.0), (1, 1.0)], "the one that is due earlier came second, and each is given once"


def test_without_a_moment_nothing_is_too_late() -> None:
    bench = Bench(Timing())
    bench.queue.add(1, -1e6)
    bench.run(1.0)
    assert bench.given == [(1, 0.0)]


def test_a_receiver_that_is_away_past_the_moment() -> None:
    bench = Bench(Timing(after_s=0.0, late_s=0.05, pulse_s=0.1), fails=[True] * 10)
    bench.queue.add(1, 1.0)
    bench.run(9.0)
    assert bench.given == []
    assert bench.given_up[0][1] == pytest.approx(0.05, abs=0.01)
    assert len(bench.rests) == 1, "what may be on all the same is put at rest"


moments = st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=12)


@settings(max_examples=400, deadline=None)
@given(
    moments,
    st.sampled_from([None, 0.005, 0.05, 0.3]),
    st.booleans(),
    st.sampled_from([0.001, 0.02, 0.1]),
    st.sampled_from([0.05, 0.25, 10.0]),
    st.lists(st.booleans(), max_size=30),
    st.lists(st.floats(-0.04, 1.0), max_size=12),
)
def test_whatever_comes_nothing_is_swallowed_and_nothing_stays_on(
    dues: list[float],
    pulse_s: float | None,
    again: bool,
    gap_s: float,
    late_s: float,
    fails: list[bool],
    more: list[float],
) -> None:
    bench = Bench(Timing(after_s=0.0, late_s=late_s, pulse_s=pulse_s, again=again, gap_s=gap_s), fails, more)
    for due_s in dues:
        bench.add(due_s)
    bench.run(60.0)
    assert sorted([key for key, _ in bench.given + bench.given_up]) == list(range(len(bench.dues))), "each once"
    for key, at_s in bench.given:
        assert -SLACK_S <= at_s - bench.dues[key] <= late_s + SLACK_S
    for _, late_by_s in bench.given_up:
        assert late_by_s > late_s
    assert bench.queue.pulse_end_s is None, "at rest in the end, or without a pulse"
    times = [at_s for _, at_s in bench.given]
    if pulse_s is None:
        assert bench.rests == []
        return
    if again:
        for before_s, after_s in itertools.pairwise(times):
            rests = [at_s for at_s in bench.rests if before_s < at_s < after_s]
            assert rests, "an edge for each"
            assert after_s - rests[-1] >= gap_s - SLACK_S
            assert rests[0] - before_s >= min(gap_s, pulse_s) - SLACK_S, "seen by whoever looks that often"
    elif not fails and not more:
        assert times == sorted(dues), "each at its own moment"
        for at_s in times:
            end_s = next(rest_s for rest_s in bench.rests if rest_s > at_s)
            assert end_s - at_s >= pulse_s - SLACK_S
