"""Rows of the scorecard are red where their goal is not met, and count nothing that cannot fail."""

from __future__ import annotations

import pytest

from tests.faults import test_bad_ways as bad_ways
from tests.faults import test_processes as processes
from tests.faults import test_updates as updates
from tests.faults.security import test_parsers as parsers
from tests.faults.security import test_policies as policies
from tests.faults.security import test_running_edge as edge
from tests.faults.test_processes import CAMERA, MODEL, OTHER, Strike


@pytest.fixture(autouse=True)
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick run asks for fewer."""
    monkeypatch.delenv("VEDETTE_FAULTS", raising=False)


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


CARELESS = {"struct.error": b"", f"{parsers.GREW} 900 MB": b""}


def test_reader_that_had_too_few_inputs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"plan": 1_000_000, "recipe": 999_999}
    row = parsers.judged(counts, {}, CARELESS, 60.0)
    assert not row.passed
    assert "Fewer than 1,000,000: recipe." in row.notes
    assert parsers.judged({"plan": 1_000_000}, {}, CARELESS, 60.0).passed
    assert not parsers.judged({"plan": 1_000_000}, {"plan": {"hang": b""}}, CARELESS, 60.0).passed
    monkeypatch.setenv("VEDETTE_FAULTS", "quick")
    assert parsers.judged(counts, {}, CARELESS, 1.0).passed


def test_findings_that_are_explained_are_counted_with_their_kind() -> None:
    accepted = {(f"alerts/{n}", "AwsSolutions-IAM5[Resource::*]"): "X-Ray knows no resources." for n in range(4)}
    accepted[("alerts/Queue", "AwsSolutions-SQS3")] = "It is itself a dead-letter queue."
    row = policies.suppressions_row(accepted)
    assert (row.value, row.passed) == (5, True)
    assert row.notes.startswith("4 of AwsSolutions-IAM5 where AWS knows no resource; 1 of AwsSolutions-SQS3.")
    assert not policies.suppressions_row(accepted | {("alerts/6", "AwsSolutions-S1"): "Another."}).passed


def test_own_processes_without_a_filter_are_counted() -> None:
    def seen(pid: int, *, walled: bool, program: str = "inference.model") -> edge.Seen:
        return edge.Seen(pid, "vedette.Inference", program, 1_000, 0, walled, walled)

    running, hook = edge.RunningEdge({"vedette.Inference": 1}, 9), seen(9, walled=True, program="hook")
    row = edge.filter_row(running, [seen(1, walled=True), seen(2, walled=False), hook])
    assert (row.value, row.n, row.passed) == (1, 2, False)
    assert row.notes.startswith("inference.model 1.")
    assert edge.filter_row(running, [seen(1, walled=True), hook]).passed
    assert not edge.filter_row(running, [seen(1, walled=True), seen(9, walled=False)]).passed
