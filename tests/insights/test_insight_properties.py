"""What must hold of insights whatever is seen: nothing lost, nothing twice, nothing invented."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.stage import batch, machine
from tests.core.stage import play as play_rule
from tests.insights.stage import DOCUMENTS, LINE, Totals, analysed_steps, book, play, restarted, streams
from vedette.contracts.insight import MAX_REPORT_BYTES, InsightReport, OccupancyValues, QueueValues
from vedette.contracts.tracks import TrackBatch
from vedette.core.insights.size import report_json

EXAMPLES = settings(max_examples=60, deadline=None)


@EXAMPLES
@given(streams(leaps=True))
def test_totals_do_not_depend_on_how_time_is_cut(batches: list[TrackBatch]) -> None:
    fine, coarse = Totals(play(book(10), batches)), Totals(play(book(3600), batches))
    assert fine.counts == coarse.counts
    assert fine.most == coarse.most
    assert fine.analysed_s == pytest.approx(coarse.analysed_s, abs=0.05)
    for name in ("floor", "everywhere"):
        assert fine.presence_s[name] == pytest.approx(coarse.presence_s[name], abs=0.05)
        assert fine.occupied_s[name] == pytest.approx(coarse.occupied_s[name], abs=0.05)
    for name in ("till", "line"):  # a mean of thousandths, times the time
        assert fine.presence_s[name] == pytest.approx(coarse.presence_s[name], abs=0.2)
    # What a cell has beyond whole tenths waits for the next interval, so at most one tenth is on its way.
    for cell in range(32):
        assert fine.cells_s[cell] == pytest.approx(coarse.cells_s[cell], abs=0.11)


@EXAMPLES
@given(streams(leaps=True), st.lists(st.integers(0, 80), max_size=4), st.sampled_from([10, 60]))
def test_a_restart_after_any_batch_gives_the_same_reports(
    batches: list[TrackBatch], cuts: list[int], interval_s: int
) -> None:
    whole = book(interval_s)
    expected = play(whole, batches)
    one, got = book(interval_s), []
    for index, each in enumerate(batches):
        if index in cuts:
            one = restarted(one, interval_s)
            earlier = batches[max(0, index - 3) : index]
            assert play(one, [b for b in earlier if b.frame.epoch == batches[index - 1].frame.epoch], end=False) == []
        got += play(one, [each], end=False)
    got += [new.report for new in one.finish()]
    assert got == expected
    assert one.state() == whole.state()


@EXAMPLES
@given(streams())
def test_crossings_are_those_of_the_rule(batches: list[TrackBatch]) -> None:
    for documents in ({"door": {"type": "crossings", "line": LINE}},):
        totals = Totals(play(book(10, documents), batches))
        events = play_rule(machine(type="line_crossed", line=LINE), batches)
        for direction in ("left_to_right", "right_to_left"):
            seen = sum(event.direction == direction for _, event in events)
            assert totals.counts[f"door {direction}"] == seen


@EXAMPLES
@given(streams(leaps=True))
def test_presence_is_what_was_seen_and_nothing_more(batches: list[TrackBatch]) -> None:
    reports = play(book(10), batches)
    totals = Totals(reports)
    steps = analysed_steps(batches)
    # Where the stream began anew under another epoch with a clock that leapt, nobody knows how long it took.
    if len({each.frame.epoch for each in batches}) == 1:
        assert totals.analysed_s == pytest.approx(sum(step_s for _, step_s in steps), abs=0.05)
        seen_s = sum(len(each.track_ids) * step_s for each, step_s in steps)
        assert totals.presence_s["everywhere"] == pytest.approx(seen_s, abs=0.05)
    cells_s = sum(totals.cells_s.values())
    assert totals.presence_s["everywhere"] - 0.1 * 32 - 0.01 <= cells_s <= totals.presence_s["everywhere"] + 0.01


@EXAMPLES
@given(streams(leaps=True), st.sampled_from([10, 60]))
def test_every_report_is_consistent(batches: list[TrackBatch], interval_s: int) -> None:
    reports = play(book(interval_s), batches)
    longest_s = batches[-1].frame.t_s - batches[0].frame.t_s
    assert len({report.report_id for report in reports if report.analysed_s}) == sum(
        report.analysed_s > 0 for report in reports
    )
    for report in reports:
        assert InsightReport.model_validate_json(report_json(report)) == report
        assert len(report_json(report)) <= MAX_REPORT_BYTES
        assert report.start.timestamp() % interval_s == 0
        assert report.start < report.end
        assert report.analysed_s <= interval_s + 3
        for values in report.values.values():
            assert values.analysed_s == pytest.approx(report.analysed_s, abs=1e-3)
            match values:
                case OccupancyValues(mean=float() as mean, min=int() as least, max=int() as most):
                    assert least <= mean <= most
                    assert mean * values.analysed_s == pytest.approx(
                        values.presence_s, abs=5e-4 * values.analysed_s + 2e-3
                    )
                    assert (values.occupied_s or 0) <= values.analysed_s + 1e-3
                case QueueValues():
                    waits = values.waits
                    assert waits is not None
                    told = [waits.p50_s, waits.p90_s, waits.max_s, values.longest_now_s]
                    assert all(0 <= each <= longest_s + 1 for each in told if each is not None)
                    assert (waits.count == 0) == (waits.p50_s is None)
                    if waits.p50_s is not None:
                        assert waits.p50_s <= (waits.p90_s or 0) <= (waits.max_s or 0)
                    assert (values.mean_length or 0) <= (values.max_length or 0)


@EXAMPLES
@given(streams(), st.lists(st.tuples(st.integers(0, 80), st.floats(0, 300)), max_size=6))
def test_a_clock_that_ticks_in_between_loses_nothing(batches: list[TrackBatch], ticks: list[tuple[int, float]]) -> None:
    """A dead camera's intervals are told of by the clock; what comes all the same is in a later report."""
    quiet = Totals(play(book(10), batches))
    one, reports = book(10), []
    for index, each in enumerate(batches):
        reports += play(one, [each], end=False)
        for at, late_s in ticks:
            if at == index:
                reports += [new.report for new in one.expire(each.frame.wall_s + late_s)]
    reports += [new.report for new in one.finish()]
    ticked = Totals(reports)
    assert ticked.counts == quiet.counts
    assert ticked.analysed_s == pytest.approx(quiet.analysed_s, abs=0.05)
    assert ticked.presence_s["floor"] == pytest.approx(quiet.presence_s["floor"], abs=0.05)


def test_a_thousand_objects_stay_within_bounds() -> None:
    one = book(10)
    largest_state, reports = 0, []
    for index in range(160):
        shift = index * 997 % 1000
        places = {
            10_000 * (index // 15) + number: ((number * 37 + shift) % 1000 / 1000, number * 53 % 1000 / 1000)
            for number in range(1000)
        }
        reports += play(one, [batch(100 + index * 0.2, places, frame_no=index)], end=False)
        if index % 40 == 39:
            largest_state = max(largest_state, len(json.dumps(one.state())))
    reports += [new.report for new in one.finish()]
    assert len(reports) == 4
    assert max(len(report_json(report)) for report in reports) <= MAX_REPORT_BYTES
    # At most 1,024 visits or tracks of each insight, of some 150 bytes each.
    assert largest_state < 200 * 1024 * len(DOCUMENTS)
