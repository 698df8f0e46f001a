"""Several recipients of messages that are under way in turns, with a clock of the test."""

from __future__ import annotations

from collections import Counter

import pytest

from vedette.adapters.actions.recipients import DEFER_S, REMEMBERED, Recipients
from vedette.contracts.errors import DeliveryError
from vedette.ports.action import ReceiverBusyError


class Site:
    """Recipients some of whom cannot be reached; counts what each one got."""

    def __init__(self, *everybody: str) -> None:
        self.now_s = 0.0
        self.away: set[str] = set()
        self.got: Counter[tuple[str, str]] = Counter()
        self.recipients = Recipients(everybody, "the message to", monotonic=lambda: self.now_s)

    def send(self, message: str) -> str:
        """One attempt: ``busy``, ``V504``, or nothing where everybody has it."""
        for name in self.recipients.missing(message):
            if name in self.away:
                self.recipients.away(name, f"{name} is away")
            else:
                self.got[name, message] += 1
                self.recipients.have([name])
        try:
            self.recipients.settle(10.0)
        except ReceiverBusyError:
            return "busy"
        except DeliveryError as error:
            return error.code
        return ""


def test_messages_that_take_turns_reach_nobody_twice() -> None:
    site = Site("one", "two")
    site.away = {"two"}
    for _ in range(5):
        assert site.send("old") == "busy"
        assert site.send("fresh") == "busy"
    site.away = set()
    assert [site.send("fresh"), site.send("old")] == ["", ""]
    assert site.got == Counter({(who, what): 1 for who in ("one", "two") for what in ("old", "fresh")})


def test_who_is_away_for_long_holds_up_one_message_and_not_each() -> None:
    site = Site("one", "two")
    site.away = {"two"}
    assert site.send("first") == "busy"
    site.now_s = DEFER_S
    assert [site.send("first"), site.send("other")] == ["busy", "busy"], "the other one does not begin it anew"
    site.now_s = DEFER_S + 1
    assert [site.send("first"), site.send("second"), site.send("third")] == ["V504"] * 3
    site.away = set()
    assert site.send("fourth") == "", "tried once for each message"
    site.away = {"two"}
    assert site.send("fifth") == "busy", "somebody who was back is waited for again"


def test_where_nobody_has_it_everybody_is_waited_for() -> None:
    site = Site("one", "two")
    site.away = {"one", "two"}
    for _ in range(10):
        assert site.send("message") == "busy"
        site.now_s += DEFER_S
    site.away = set()
    assert site.send("message") == ""


def test_no_more_than_so_many_messages_are_remembered() -> None:
    site = Site("one", "two")
    site.away = {"two"}
    for number in range(3 * REMEMBERED):
        assert site.send(str(number)) == "busy"
    assert len(site.recipients._messages) == REMEMBERED


def test_who_never_will_have_it_is_told_of() -> None:
    recipients = Recipients(("one", "two", "three"), "the message to")
    assert recipients.missing("m") == ("one", "two", "three")
    recipients.have(["one"])
    recipients.never("two", "two is no number")
    assert recipients.missing("m") == ("three",)
    recipients.have(["three"])
    with pytest.raises(DeliveryError, match="two is no number \\(1 of 3; the others have it\\)"):
        recipients.settle(10.0)
    assert recipients.missing("m") == ("one", "two", "three"), "it is over: a message of that name is another one"
