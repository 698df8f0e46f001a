"""What exactly each type counts, on scenes small enough to be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.stage import START_WALL_S, batch, still
from tests.insights.stage import LINE, TILL, ZONE, book, insight_plan, play
from vedette.contracts.alert import Direction
from vedette.contracts.insight import (
    CrossingsValues,
    DwellValues,
    HeatMapValues,
    InsightReport,
    OccupancyValues,
    QueueValues,
    Waits,
    pack_cells,
    unpack_cells,
)
from vedette.contracts.manifest import HeatMap
from vedette.contracts.tracks import TrackBatch
from vedette.core.insights.book import InsightBook
from vedette.core.insights.heat_map import HeatMapMachine
from vedette.core.rules.clock import Tick

IN, OUT, AT_TILL = (0.6, 0.6), (0.2, 0.6), (0.9, 0.6)
#: t_s at which a wall clock minute begins, with the stage's clock.
MINUTE = 20.0
assert (START_WALL_S + MINUTE) % 60 == 0


def values(document: dict[str, Any], batches: list[TrackBatch], interval_s: int = 60) -> list[Any]:
    """The figures of one insight, interval by interval."""
    return [report.values["it"] for report in play(book(interval_s, {"it": document}), batches)]


def one(document: dict[str, Any], batches: list[TrackBatch]) -> Any:
    found = values(document, batches, 3600)
    assert len(found) == 1
    return found[0]


# --- crossings ---


def walk(t_s: float, track_id: int, xs: list[float]) -> list[TrackBatch]:
    return [batch(t_s + index * 0.2, {track_id: (x, 0.5)}) for index, x in enumerate(xs)]


def test_crossings_are_counted_each_way() -> None:
    batches = walk(100, 1, [0.4, 0.6]) + walk(101, 2, [0.4, 0.6]) + walk(102, 3, [0.6, 0.4])
    found = one({"type": "crossings", "line": LINE}, batches)
    assert found == CrossingsValues(
        analysed_s=found.analysed_s, counts={Direction.LEFT_TO_RIGHT: 2, Direction.RIGHT_TO_LEFT: 1}
    )


def test_inward_is_the_way_the_manifest_says() -> None:
    batches = walk(100, 1, [0.4, 0.6]) + walk(101, 2, [0.4, 0.6]) + walk(102, 3, [0.6, 0.4])
    found = one({"type": "crossings", "line": LINE, "inward": "right_to_left"}, batches)
    assert (found.inward, found.outward) == (1, 2)
    assert found.counts == {Direction.LEFT_TO_RIGHT: 2, Direction.RIGHT_TO_LEFT: 1}


def test_standing_on_the_line_crosses_it_once() -> None:
    found = one({"type": "crossings", "line": LINE}, walk(100, 1, [0.45, 0.505, 0.495, 0.505, 0.495, 0.55]))
    assert found.counts[Direction.LEFT_TO_RIGHT] == 1
    assert found.counts[Direction.RIGHT_TO_LEFT] == 0


# --- occupancy ---


def test_occupancy_is_a_mean_over_time_not_over_pictures() -> None:
    # Two for 2 s, then one for 6 s, then nobody for 2 s; the last picture closes the time before it.
    batches = [
        batch(100.0, {1: IN, 2: IN, 3: OUT}),
        *[batch(100.5 + index * 0.5, {1: IN, 2: IN}) for index in range(3)],
        *[batch(102.0 + index * 0.9, {1: IN}) for index in range(7)],
        *[batch(108.0 + index * 0.25, {}) for index in range(9)],
    ]
    found = one({"type": "occupancy", "zone": ZONE}, batches)
    assert found.analysed_s == pytest.approx(10.0)
    assert (found.min, found.max) == (0, 2)
    assert found.presence_s == pytest.approx(2 * 2 + 6 * 1)
    assert found.mean == pytest.approx(1.0)
    assert found.occupied_s == pytest.approx(8.0)


def test_a_minute_is_cut_where_the_wall_clock_says() -> None:
    batches = still(MINUTE - 10, MINUTE + 5, {1: IN})
    first, second = values({"type": "occupancy", "zone": ZONE}, batches)
    assert first.presence_s == first.analysed_s == pytest.approx(10.0)
    assert second.presence_s == second.analysed_s == pytest.approx(4.8)


def test_what_holds_over_the_minute_is_shared_between_both() -> None:
    """The picture before the boundary holds up to the next one, so each minute has its part of that time."""
    batches = [batch(MINUTE - 0.3, {1: IN}), batch(MINUTE + 0.6, {}), batch(MINUTE + 1.0, {})]
    first, second = values({"type": "occupancy", "zone": ZONE}, batches)
    assert first.presence_s == pytest.approx(0.3)
    assert second.presence_s == pytest.approx(0.6)
    assert (second.min, second.max) == (0, 1)


def test_a_gap_is_neither_absence_nor_presence() -> None:
    batches = still(100, 102, {1: IN}) + still(112, 114, {1: IN})
    found = one({"type": "occupancy", "zone": ZONE}, batches)
    assert found.analysed_s == found.presence_s == pytest.approx(3.6)
    assert found.mean == 1.0


def test_without_a_picture_nothing_is_said() -> None:
    empty = InsightBook("thing", [insight_plan({"type": "occupancy"})])
    assert empty.finish() == []
    empty.expire(START_WALL_S)
    (told,) = [new.report for new in empty.expire(START_WALL_S + 600)][:1]
    assert told.values["it"] == OccupancyValues(analysed_s=0.0, occupied_s=0.0, presence_s=0.0)


# --- queue ---


def queue(**more: Any) -> dict[str, Any]:
    return {"type": "queue", "zone": ZONE, "serving_zone": TILL, "min_wait_s": 2, **more}


def test_a_wait_ends_in_the_serving_zone() -> None:
    batches = still(100, 110, {1: IN}) + still(110, 112, {1: AT_TILL})
    found = one(queue(), batches)
    assert found.waits == Waits(count=1, mean_s=10, p50_s=10, p90_s=10, max_s=10)
    assert (found.left, found.longest_now_s) == (0, None)
    # Waiting from its third second to its tenth, of 11.8 s analysed.
    assert found.mean_length == pytest.approx(8.0 / 11.8, abs=1e-3)
    assert found.max_length == 1


def test_who_walks_through_does_not_wait() -> None:
    batches = still(100, 101.6, {1: IN}) + still(101.6, 110, {1: AT_TILL})
    found = one(queue(), batches)
    assert (found.waits, found.max_length, found.mean_length) == (Waits(count=0), 0, 0.0)


def test_who_goes_away_unserved_has_left() -> None:
    batches = still(100, 110, {1: IN, 2: IN}) + still(110, 120, {1: OUT})
    found = one(queue(), batches)
    assert (found.waits, found.left) == (Waits(count=0), 2)


def test_who_takes_some_steps_to_the_till_is_served() -> None:
    batches = still(100, 110, {1: IN}) + still(110, 114, {1: OUT}) + still(114, 115, {1: AT_TILL})
    assert one(queue(), batches).waits.max_s == 14


def test_without_a_serving_zone_whoever_leaves_was_served() -> None:
    batches = still(100, 110, {1: IN, 2: IN}) + still(110, 120, {1: OUT})
    found = one({"type": "queue", "zone": ZONE}, batches)
    # 1 is seen outside at 110 s, 2 was last seen at 109.8 s.
    assert found.waits == Waits(count=2, mean_s=10, p50_s=10, p90_s=10, max_s=10)
    assert found.left is None


def test_without_a_serving_zone_who_walks_through_was_not_served() -> None:
    batches = still(100, 102, {1: IN}) + still(102, 110, {1: OUT})
    assert one({"type": "queue", "zone": ZONE, "min_wait_s": 3}, batches).waits == Waits(count=0)


def test_the_longest_wait_is_of_those_still_there() -> None:
    batches = still(100, 104, {1: IN}) + still(104, 110, {1: IN, 2: IN})
    assert one(queue(), batches).longest_now_s == 10


def test_percentiles_are_nearest_ranks() -> None:
    batches = []
    for index in range(50):
        t_s = 100 + index * 0.2
        batches.append(batch(t_s, {number: IN if index < number * 4 + 5 else AT_TILL for number in range(1, 11)}))
    found = one(queue(min_wait_s=0), batches)
    assert found.waits.count == 10
    assert (found.waits.p50_s, found.waits.p90_s, found.waits.max_s) == (5, 8, 9)  # 1.8, 2.6, … 9.0 s


def test_who_is_hidden_for_a_moment_still_waits() -> None:
    batches = still(100, 110, {1: IN}) + still(110, 110.8, {}) + still(110.8, 112, {1: IN})
    found = one(queue(), batches)
    assert found.longest_now_s == 12
    assert found.mean_length == pytest.approx(9.8 / 11.8, abs=1e-3)


def test_who_is_hidden_for_longer_does_not() -> None:
    batches = still(100, 110, {1: IN}) + still(110, 112.6, {})
    found = one(queue(), batches)
    # From 102 s until 1 s after the last picture, 109.8 s, and until the next picture shows that.
    assert found.mean_length == pytest.approx(9.0 / 12.4, abs=1e-3)
    assert found.longest_now_s is None


def test_who_vanished_in_a_gap_does_not_wait() -> None:
    batches = still(100, 110, {1: IN, 2: (0.5, 0.5)}) + still(120, 120.6, {1: IN})
    found = one(queue(), batches)
    assert found.mean_length == pytest.approx((2 * 7.8 + 0.4) / 10.2, abs=1e-3)
    assert found.longest_now_s == 20  # it was there before and after


def test_a_new_number_on_the_same_box_goes_on_waiting() -> None:
    batches = still(100, 105, {1: IN}) + still(105, 110, {2: IN})
    assert one(queue(), batches).longest_now_s == 10


# --- dwell ---


def test_stays_are_sorted_by_their_length() -> None:
    batches = [
        *still(100, 101, {1: IN, 2: IN, 3: IN}),
        *still(101, 104, {1: OUT, 2: IN, 3: IN}),
        *still(104, 120, {1: OUT, 2: OUT, 3: IN}),
    ]
    found = one({"type": "dwell", "zone": ZONE, "edges_s": [2, 5, 10]}, batches)
    assert found == DwellValues(analysed_s=found.analysed_s, edges_s=(2, 5, 10), counts=(1, 1, 0, 0))


def test_a_stay_as_long_as_an_edge_is_in_the_class_above() -> None:
    batches = still(100, 102, {1: IN}, fps=4) + still(102, 104, {1: OUT}, fps=4)
    assert one({"type": "dwell", "zone": ZONE, "edges_s": [1, 2, 3]}, batches).counts == (0, 0, 1, 0)


def test_a_step_outside_does_not_end_a_stay() -> None:
    batches = [*still(100, 103, {1: IN}), *still(103, 103.8, {1: OUT}), *still(103.8, 108, {1: IN})]
    batches += still(108, 112, {1: OUT})
    assert one({"type": "dwell", "zone": ZONE, "edges_s": [5]}, batches).counts == (0, 1)


def test_who_vanished_in_a_gap_is_not_told_of() -> None:
    batches = still(100, 108, {1: IN, 2: IN}) + still(118, 125, {2: OUT})
    # 2 is outside after the gap: it left, after the 7.8 s that were seen. Of 1 nobody knows.
    assert one({"type": "dwell", "zone": ZONE, "edges_s": [5, 10]}, batches).counts == (0, 1, 0)


# --- heat map ---


def test_presence_is_summed_where_the_anchor_is() -> None:
    batches = still(100, 104.2, {1: (0.1, 0.1), 2: (0.9, 0.6)}) + still(104.2, 106.2, {2: (0.9, 0.6)})
    found = one({"type": "heat_map", "grid": [4, 2]}, batches)
    assert unpack_cells(found.cells) == (42, 0, 0, 0, 0, 0, 0, 60)
    assert found.cells == (42, -6, 60)


def test_who_reaches_over_the_border_is_in_the_nearest_cell() -> None:
    found = one({"type": "heat_map", "grid": [2, 2]}, still(100, 102.2, {1: (0.5, 1.2), 2: (-0.1, 0.0)}))
    assert unpack_cells(found.cells) == (20, 0, 0, 20)


def test_what_is_rounded_off_comes_with_the_next_minute() -> None:
    document = {"type": "heat_map", "grid": [1, 1]}
    batches = [batch(MINUTE - 0.25, {1: IN}), batch(MINUTE + 0.5, {1: IN}), batch(MINUTE + 1.3, {1: IN})]
    first, second = values(document, batches)
    assert (first.cells, second.cells) == ((2,), (13,))


def test_sums_of_steps_are_whole_tenths() -> None:
    machine = HeatMapMachine(HeatMap(type="heat_map", grid=(1, 1)))
    machine.see(batch(100.0, {1: IN}), Tick(0.0, 0.0, False))
    for _ in range(8):
        machine.hold(0.1)  # eight times that is a little less than 0.8
    found = machine.close()
    assert isinstance(found, HeatMapValues)
    assert found.cells == (8,)


@pytest.mark.parametrize("cells", [(0,), (0, 0), (1, 0, 2), (0, 0, 3, 0, 0, 0), (5, 0), tuple(range(9))])
def test_cells_are_packed_without_loss(cells: tuple[int, ...]) -> None:
    packed = pack_cells(cells)
    assert unpack_cells(packed) == cells
    assert len(str(packed)) <= len(str(cells))


def test_cells_of_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="grid of 3 by 1"):
        HeatMapValues(analysed_s=1.0, grid=(3, 1), cells=(1, -3))


# --- privacy ---


@pytest.mark.parametrize(("people", "withheld"), [(0, False), (1, True), (4, True), (5, False)])
def test_figures_about_too_few_are_withheld(people: int, withheld: bool) -> None:
    # Nobody stands where another one does: a new number there would go on for the old one.
    here = {number: (0.45 + 0.06 * number, 0.6) for number in range(people)}
    there = {number: (0.9, 0.42 + 0.05 * number) for number in range(people)}
    batches = still(100, 110, here) + still(110, 112, there)
    documents: dict[str, dict[str, Any]] = {
        "floor": {"type": "occupancy", "zone": ZONE},
        "till": queue(),
        "shelf": {"type": "dwell", "zone": ZONE},
        "paths": {"type": "heat_map"},
        "door": {"type": "crossings", "line": [[0.8, 0.0], [0.8, 1.0]]},
    }
    for name, document in documents.items():
        found = one({**document, "min_people": 5}, batches)
        assert found.suppressed is withheld, name
        told = found.model_dump(
            exclude_none=True, exclude={"analysed_s", "suppressed", "type", "edges_s", "grid", "left"}
        )
        assert (told == {}) is withheld, name


def test_a_report_holds_no_number_of_anybody() -> None:
    """No track number, no box: reports of the same scene under other numbers are the same."""

    def scene(first: int) -> list[TrackBatch]:
        return still(100, 130, {first: IN, first + 1: AT_TILL}) + still(130, 150, {first: AT_TILL})

    def told(reports: list[InsightReport]) -> list[str]:
        return [report.model_dump_json() for report in reports]

    assert told(play(book(10), scene(7))) == told(play(book(10), scene(90_210)))


# --- reports ---


def test_a_report_says_whose_and_when() -> None:
    batches = still(MINUTE, MINUTE + 61, {1: IN})
    first, second = play(book(60, {"floor": {"type": "occupancy"}}), batches)
    assert (first.device, first.application, first.pipeline) == ("thing", "app", "people")
    assert (first.camera, first.device_camera) == ("hall", "cam-1")
    assert first.start.isoformat() == "2025-06-15T15:07:00+00:00"
    assert first.end == second.start
    assert first.analysed_s == pytest.approx(60.0)
    assert first.report_id != second.report_id
    assert second.analysed_s == pytest.approx(0.8)


def test_the_name_of_a_report_comes_from_its_first_picture() -> None:
    batches = still(MINUTE, MINUTE + 30, {1: IN})
    short, long = (play(book(60), batches[:length]) for length in (2, 150))
    assert short[0].report_id == long[0].report_id
    assert short[0].report_id != play(book(60), batches[1:])[0].report_id


def test_only_figures_of_unchanged_insights_go_on() -> None:
    documents: dict[str, dict[str, Any]] = {"a": {"type": "occupancy"}, "b": {"type": "occupancy", "zone": ZONE}}
    before = book(60, documents)
    play(before, still(MINUTE, MINUTE + 20, {1: IN}), end=False)
    after = book(60, {**documents, "a": {"type": "occupancy", "title": "New words"}, "b": {"type": "occupancy"}})
    after.restore(before.state())
    (report,) = play(after, still(MINUTE + 20, MINUTE + 30.2, {1: IN}))
    assert report.analysed_s == pytest.approx(30.0)
    assert report.values["a"].analysed_s == pytest.approx(30.0)
    assert report.values["b"].analysed_s == pytest.approx(10.2, abs=0.21)


def test_an_application_started_again_goes_on() -> None:
    documents: dict[str, dict[str, Any]] = {"a": {"type": "occupancy"}}
    other = [insight_plan({"type": "occupancy"}, "b", camera="cam-2")]
    whole = play(book(60, documents), still(MINUTE, MINUTE + 30, {1: IN}))
    first = book(60, documents)
    play(first, still(MINUTE, MINUTE + 20, {1: IN}), end=False)
    without = InsightBook("thing", other)
    without.restore(first.state())
    for t_s in (MINUTE + 20.0, MINUTE + 20.1):
        without.take(batch(t_s, {}, camera="cam-2"))
    again = book(60, documents)
    again.restore(without.state())
    assert play(again, still(MINUTE + 20, MINUTE + 30, {1: IN})) == whole
    # A minute later the scene would be forgotten anyway.
    without.take(batch(MINUTE + 90.0, {}, camera="cam-2"))
    assert [entry[:2] for entry in without.state()["streams"]] == [["app/people", "cam-2"]]


@pytest.mark.parametrize(
    "state", [None, {}, [], {"version": 2}, {"version": 1}, {"version": 1, "streams": [["app/people", "cam-1", {}]]}]
)
def test_a_state_that_cannot_be_read_starts_fresh(state: Any) -> None:
    fresh = book(60, {"floor": {"type": "occupancy"}})
    fresh.restore(state)
    assert [report.analysed_s for report in play(fresh, still(100, 102, {}))] == [pytest.approx(1.8)]


def test_queue_values_are_those_of_the_contract() -> None:
    assert QueueValues(analysed_s=1.0).model_dump(exclude_none=True) == {
        "analysed_s": 1.0,
        "suppressed": False,
        "type": "queue",
    }
