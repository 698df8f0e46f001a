from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.scheduling import FairQueue

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
