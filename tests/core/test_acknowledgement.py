"""Acknowledgements: never beyond what is stored, complete in the end, bounded in between."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.fleet.acknowledgement import Progress, Range, merged

RANGES = st.builds(lambda first, more: Range(first, first + more), st.integers(1, 60), st.integers(0, 8))


def numbers(*ranges: Range) -> set[int]:
    return {number for one in ranges for number in range(one.first, one.last + 1)}


def prefix(known: set[int]) -> int:
    return next(n for n in range(len(known) + 1) if n + 1 not in known)


@given(st.lists(RANGES, max_size=40))
def test_merged_ranges_are_the_same_numbers_with_gaps_between_them(ranges: list[Range]) -> None:
    whole = merged(ranges)
    assert numbers(*whole) == numbers(*ranges)
    assert all(after.first > before.last + 1 for before, after in itertools.pairwise(whole))


@given(st.lists(st.lists(RANGES, max_size=6), max_size=12))
def test_progress_is_the_set_of_numbers(batches: list[list[Range]]) -> None:
    progress, seen = Progress(), set[int]()
    for batch in batches:
        progress = progress.extended(batch)
        seen |= numbers(*batch)
        assert progress.through == prefix(seen)
        assert numbers(*progress.beyond) == {number for number in seen if number > progress.through}
        assert Progress.stored(progress.through, progress.text()) == progress


@given(st.lists(st.lists(RANGES, max_size=6), max_size=12), st.integers(1, 3))
def test_a_bound_never_acknowledges_more_and_sending_again_completes(batches: list[list[Range]], limit: int) -> None:
    progress, seen = Progress(), set[int]()
    for batch in batches:
        seen |= numbers(*batch)
        after = progress.extended(batch, limit=limit)
        assert progress.through <= after.through <= prefix(seen)
        assert len(after.beyond) <= limit
        progress = after
    for number in sorted(seen):  # what a device does with all that is not acknowledged
        progress = progress.extended((Range(number, number),), limit=limit)
    assert progress.through == prefix(seen)


def test_the_lowest_ranges_are_the_ones_that_stay() -> None:
    progress = Progress().extended((Range(9, 9), Range(3, 3), Range(6, 6)), limit=2)
    assert progress == Progress(0, (Range(3, 3), Range(6, 6)))


@pytest.mark.parametrize(("first", "last"), [(0, 1), (2, 1), (-1, -1)])
def test_what_is_no_range_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="no range"):
        Range(first, last)


@pytest.mark.parametrize("text", ["1", "5-3", "a-b", "1-2;3-4"])
def test_what_was_not_stored_by_us_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no range|invalid literal"):
        Progress.stored(0, text)
