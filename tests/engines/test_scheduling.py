from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.scheduling import FairQueue, Pacer

WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.5, 30), min_size=1)


@given(WEIGHTS)
def test_busy_cameras_share_in_proportion(weights: dict[str, float]) -> None:
    queue = FairQueue(weights)
    rounds = 4000
    served = dict.fromkeys(weights, 0)
    for _ in range(rounds):
        name = queue.pick(weights)
        assert name is not None
        served[name] += 1
    total = sum(weights.values())
    for name, weight in weights.items():
        assert abs(served[name] - rounds * weight / total) <= len(weights) + 1


@given(WEIGHTS, st.integers(0, 2**32), st.floats(0.05, 1))
def test_who_waits_is_served_before_long(weights: dict[str, float], seed: int, share: float) -> None:
    """Whatever the others do: while one waits, another is served at most about weight-ratio times."""
    rng = np.random.default_rng(seed)
    queue = FairQueue(weights)
    waiting: dict[str, int] = {}
    bound = {n: sum(np.ceil(w / weights[n]) + 1 for w in weights.values()) + 1 for n in weights}
    for _ in range(400):
        for name in weights:
            if name not in waiting and rng.random() < share:
                waiting[name] = 0
        turn = queue.pick(waiting)
        if turn is None:
            continue
        del waiting[turn]
        for other in waiting:
            waiting[other] += 1
            assert waiting[other] <= bound[other]


def test_idle_time_earns_no_credit() -> None:
    queue = FairQueue({"a": 1, "b": 1})
    for _ in range(100):
        assert queue.pick(["a"]) == "a"
    assert [queue.pick(["a", "b"]) for _ in range(6)].count("b") == 3


def test_nobody_and_strangers() -> None:
    queue = FairQueue({"a": 1})
    assert queue.pick([]) is None
    assert queue.pick(["stranger"]) is None
    queue.set_weights({"b": 2})
    assert queue.pick(["a", "b"]) == "b"
    with pytest.raises(ValueError, match="above 0"):
        queue.set_weights({"b": 0})


@given(st.integers(2, 60), st.integers(1, 30), st.integers(0, 2**32))
def test_the_rate_is_met_and_not_exceeded(stream_fps: int, fps: int, seed: int) -> None:
    """Pictures with jitter of a tenth of their interval: the rate asked for, or the stream's where that is less."""
    rng = np.random.default_rng(seed)
    n = 40 * stream_fps
    times = (np.arange(n) + rng.uniform(-0.1, 0.1, n)) / stream_fps
    pacer = Pacer(fps)
    taken = 0
    for t in times:
        if pacer.due(t):
            pacer.taken(t)
            taken += 1
    assert taken <= 40 * fps + 2
    if stream_fps <= fps or stream_fps % fps == 0 or stream_fps >= 4 * fps:
        assert taken >= 0.97 * 40 * min(fps, stream_fps) - 2


def test_what_a_reader_is_armed_with() -> None:
    pacer = Pacer(5)
    assert pacer.due(100.0)
    assert pacer.taken(100.0) == pytest.approx(0.15)  # a quarter of 0.2 s early is still in time
    assert not pacer.due(100.14)
    assert pacer.due(100.16)
    assert pacer.taken(100.16) == pytest.approx(0.19)  # the grid stays: next due at 100.4
    assert pacer.taken(103.0) == pytest.approx(0.15)  # after a pause it starts anew
    pacer.reset()
    assert pacer.due(1.0)
    with pytest.raises(ValueError, match="above 0"):
        Pacer(0)
