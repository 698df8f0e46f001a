"""Rows of the scorecard are red where their goal is not met, and count nothing that cannot fail."""

from __future__ import annotations

from tests.faults import test_bad_ways as bad_ways
from tests.faults import test_processes as processes
from tests.faults import test_updates as updates
from tests.faults.test_processes import CAMERA, MODEL, OTHER, Strike


def strikes(**back_s: float) -> list[Strike]:
    """A hundred kills of each, and ten that are stopped."""
    return [Strike(part, n >= 100, taken_s) for part, taken_s in back_s.items() for n in range(110)]


def test_kills_of_processes_that_no_picture_waits_for_do_not_count() -> None:
    row = processes.kills_row(strikes(camera=4.0, model=4.0, other=0.2), 2_000)
    assert (row.value, row.n, row.passed) == (4.0, 200, False)
    assert processes.kills_row(strikes(camera=1.0, model=1.0, other=9.0), 2_000).passed
    assert not processes.kills_row(strikes(camera=1.0, model=1.0, other=0.2), 900).passed
    few = [Strike(part, False, 0.2) for part in (CAMERA, MODEL, *[OTHER] * 400)]
    assert not processes.kills_row(few, 2_000).passed


def test_time_until_a_stopped_process_is_found_out_counts() -> None:
    row = processes.stops_row(strikes(camera=6.5, model=3.0, other=0.2))
    assert (row.value, row.n, row.passed) == (6.5, 20, False)


def test_pause_of_a_models_cameras_is_that_of_its_process() -> None:
    row = processes.model_row(strikes(camera=4.0, model=0.9, other=0.2))
    assert (row.value, row.n, row.passed) == (900, 100, False)


def test_update_that_nobody_confirms_is_red_after_a_minute() -> None:
    assert not updates.silent_row([1, 21]).passed
    assert updates.silent_row([1, 1]).passed


def test_stream_with_a_picture_now_and_then_does_not_go_on() -> None:
    seen = bad_ways.Seen("over TCP", 60.0, (0.1,) * 1_200, 0.3, 0)
    assert seen.holds(1.0)
    assert not bad_ways.Seen("over UDP", 60.0, (0.1,) * 59, 0.3, 0).holds(1.0)
    assert not bad_ways.Seen("over UDP", 60.0, (0.1,) * 1_200, 3.1, 0).holds(1.0)
