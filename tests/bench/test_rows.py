"""What the rows make of what was measured: a run that went wrong misses its target, and notes come from figures."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from bench.result import all_at_most, at_most
from bench.rows import decode, idle, memory, peers, ring, site, startup, system
from bench.rows.idle import AGAIN, PLAIN, RESTS, Outcome
from bench.rows.startup import Start
from bench.system import Stretch
from vedette.core.rest import SETTLE_S


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


@pytest.mark.parametrize(("gop_s", "expected_s"), [(1, 12.0), (2, 12.0), (10, 33.0)])
def test_pieces_stand_still_for_long_enough_to_rest(gop_s: int, expected_s: float) -> None:
    """Wherever a key picture falls: two whole groups lie between the one that begins the rest and what moves."""
    assert idle.still_s(gop_s) == expected_s
    for tenth in range(gop_s * 10):
        first_s = tenth / 10 + gop_s * math.ceil((SETTLE_S - tenth / 10) / gop_s)
        assert first_s + 2 * gop_s <= expected_s


def outcome(rests: int, again: int, spared: float) -> Outcome:
    """Ten events each, less so many."""
    events = {name: Counter(strip=10 - less) for name, less in ((PLAIN, 0), (AGAIN, again), (RESTS, rests))}
    return Outcome(events, (0.0, 0.5), spared)


def missed(found: Outcome) -> list[str]:
    """Names of the figures that miss their target."""
    return [figure.name for figure in idle._figures(10, found) if figure.met is False]


def test_run_in_which_nothing_rested_misses_its_target() -> None:
    assert missed(outcome(rests=0, again=0, spared=48.0)) == []
    assert missed(outcome(rests=0, again=0, spared=0.34)) == ["GOP 10 s: pictures not analysed"]
    assert missed(outcome(rests=1, again=0, spared=48.0)) == ["GOP 10 s: events lost by resting"]


def test_what_the_camera_that_rests_lacks_is_told_beside_one_that_never_does() -> None:
    assert "GOP 10 s: of 10 events 1 missing where it rests, 2 where it never does." in idle._differences(
        {10: outcome(rests=1, again=2, spared=48.0)}
    )


def test_who_finds_one_person_less_has_not_found_as_many() -> None:
    """There is one person at most, so that a tolerance of one would forgive finding nobody at all."""
    assert peers.as_many([0, 1, 1, 1], [0, 1, 1, 1]) == 100
    assert peers.as_many([0, 0, 0, 0], [0, 1, 1, 1]) == 25
    assert peers.as_many([0, 1], [0, 1, 1, 1]) == 50


def stretch(**cpu_s: float) -> Stretch:
    """Ten seconds of four cameras at five pictures a second; as much memory in MB as hundredths of processor."""
    pictures = {f"gate{n}": 50 for n in range(4)}
    return Stretch(10.0, cpu_s, 0.1, pictures, (), {name: 100 * used for name, used in cpu_s.items()})


#: Processor seconds of three rounds; medians of their parts are of different rounds and do not add up.
ROUNDS = (stretch(Ingest=1.0, Inference=3.0), stretch(Ingest=2.0, Inference=2.2), stretch(Ingest=2.4, Inference=2.0))


def test_parts_of_the_middle_round_add_up() -> None:
    note = system._note([16.0, 18.0, 20.0], ROUNDS)  # ratios 1.25, 1.17, 1.1
    assert "the system took 21 ms a picture (Inference 11, Ingest 10) and the paced floor 18." in note
    assert "The difference of 3 ms" in note


def test_memory_is_told_in_parts_that_add_up() -> None:
    note = memory._note(ROUNDS, [40.0, 45.0, 41.0], 100.0)
    assert note.startswith("The 420 MB of the middle round by component: Inference 220, Ingest 200.")
    assert "164 are the 4 cameras" in note
    assert "100 a process that only runs the model" in note
    assert "the remaining 156 the other processes" in note


def test_hand_over_is_told_by_its_middle_round() -> None:
    note = ring._note([1.27, 0.91, 1.07], [0.24, 0.4, 0.36], [0.72, 0.68, 0.7])
    assert "the writer took 1.07 ms and the reader 0.36, 1.43 together" in note
    assert "took 0.7 in it, 49 % of that" in note


def test_rest_is_told_beside_what_is_needed_bare() -> None:
    resting = [stretch(Ingest=0.9, Inference=0.3), stretch(Ingest=1.0, Inference=0.4)]
    note = decode._note(resting, [1.8, 1.8], [15.0, 15.0])
    assert "took 3 % of a core in the middle round: Ingest 2.25, Inference 0.75." in note
    assert (
        "0.3 % at 15 ms a run: bare, that is 2.1 % together, beside a target of 2. What is above that, 0.9 %," in note
    )


def test_site_is_told_by_component_beside_the_floor() -> None:
    note = site._note("1080p", ROUNDS, [11.0, 12.0, 13.0])
    assert note.startswith("1080p: 10.5 % in the middle round, by component Inference 5.5, Ingest 5.")
    assert note.endswith("takes 12 %.")
