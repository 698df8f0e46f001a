"""How many alerts a hook may raise, by the time of what it handles."""

from __future__ import annotations

from vedette.core.alert_budget import BURST_MINUTES, OUT_OF_ORDER_S, AlertBudget

PER_MINUTE = 6.0
BURST = int(PER_MINUTE * BURST_MINUTES)


def admitted(budget: AlertBudget, wall_s: float, tries: int) -> int:
    return sum(budget.admit(wall_s) for _ in range(tries))


def test_it_fills_with_time() -> None:
    budget = AlertBudget(PER_MINUTE)
    assert admitted(budget, 1000.0, 50) == BURST
    assert admitted(budget, 1060.0, 50) == PER_MINUTE
    assert admitted(budget, 9000.0, 50) == BURST


def test_cameras_that_are_out_of_order_fill_nothing_twice() -> None:
    budget = AlertBudget(PER_MINUTE)
    assert admitted(budget, 1000.0, 50) == BURST
    for _ in range(20):
        assert admitted(budget, 1000.0 - OUT_OF_ORDER_S, 5) + admitted(budget, 1000.0, 5) == 0


def test_a_clock_that_was_ahead_silences_nobody() -> None:
    budget = AlertBudget(PER_MINUTE)
    year_s = 365 * 86_400.0
    assert admitted(budget, 1000.0 + year_s, 50) == BURST
    resumed = AlertBudget(PER_MINUTE)
    resumed.restore(budget.state())
    assert admitted(resumed, 1000.0, 50) == 0, "putting the clock right fills nothing"
    assert admitted(resumed, 1060.0, 50) == PER_MINUTE
