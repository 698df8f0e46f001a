"""The soak's own count: it sees a lost, a doubled and an uncaused alert, and lets a hidden visit be either."""

from __future__ import annotations

from bench.visits import Blind, Seen, Visit, missing, tally, visits_of

RULES = ("enters", "stays")
VISITS = visits_of("gate", [100.0, 130.0], [(2.0, 8.0), (16.0, 22.0)])
ALERTS = [Seen(f"{rule}-{v.begin_s}", "gate", rule, v.begin_s + 0.5) for v in VISITS for rule in RULES]


def test_all_well() -> None:
    found = tally(VISITS, [], ALERTS, RULES, 2.0)
    assert (found.expected, found.received, found.lost, found.duplicated, found.uncaused) == (8, 8, (), (), ())


def test_a_recording_that_begins_anew_cuts_the_one_before() -> None:
    assert visits_of("gate", [0.0, 18.0], [(2.0, 8.0), (16.0, 22.0)])[:2] == [
        Visit("gate", 2.0, 8.0),
        Visit("gate", 16.0, 18.0),
    ]


def test_what_is_lost_doubled_or_uncaused_is_seen() -> None:
    again = Seen("again", "gate", "enters", VISITS[1].begin_s + 3.0)
    ghost = Seen("ghost", "gate", "enters", 112.0)
    found = tally(VISITS, [], [*ALERTS[1:], again, ghost], RULES, 1.0)
    assert found.lost == (("enters", VISITS[0]),)
    assert found.duplicated == (again,)
    assert found.uncaused == (ghost,)


def test_what_a_fault_may_have_hidden_counts_for_nothing() -> None:
    found = tally(VISITS, [Blind("gate", 103.0, 104.0)], ALERTS[2:], RULES, 2.0)
    assert (found.expected, found.undecided, found.received, found.lost) == (6, 2, 6, ())
    assert tally(VISITS, [Blind("yard", 103.0, 104.0)], ALERTS[2:], RULES, 2.0).lost


def test_receivers_are_held_against_what_was_written() -> None:
    assert missing(["a", "b"], {"hook": ["a", "a"], "bus": ["b", "a"]}) == {"hook": (1, 1), "bus": (0, 0)}
