"""A plan that changes while receivers hang: nobody else waits, and nothing is delivered by two at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.actions.receivers import until
from tests.outbox.samples import new
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.compose.open_receivers import WAITS, OpenReceivers
from vedette.contracts.manifest import Action, FileAction
from vedette.core.signals import Timing
from vedette.pipeline.deliver import Delivery, DeliveryHealth
from vedette.pipeline.pictures import PictureTimes
from vedette.pipeline.signal import SignalDelivery
from vedette.ports.outbox import OutboxRow

HOOK = "app/hook"
OTHER = "other/file"


def file_action(name: str) -> Action:
    return FileAction(type="file", path=name)


class Hanging:
    """A channel that has ended once the test says so."""

    def __init__(self, key: str, action: Action) -> None:
        self.name = f"{key} {action.path}" if isinstance(action, FileAction) else key
        self.calls: list[str] = []
        self.ended = False

    def wake(self) -> None:
        self.calls.append("wake")

    def health(self) -> DeliveryHealth:
        return DeliveryHealth(1, 0, self.name)

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


class Site:
    """Receivers of the test, in the order in which they were opened."""

    def __init__(self) -> None:
        self.made: list[Hanging] = []
        self.receivers = OpenReceivers(self._open)

    def _open(self, key: str, action: Action) -> Hanging:
        self.made.append(Hanging(key, action))
        return self.made[-1]

    def names(self) -> list[str]:
        return [channel.name for channel in self.made]


def test_one_that_hangs_is_told_to_stop_and_nobody_waits_for_it() -> None:
    site = Site()
    site.receivers.follow({HOOK: file_action("1")})
    site.receivers.follow({HOOK: file_action("2"), OTHER: file_action("1")})
    assert site.made[0].calls == ["stop"], "not waited for"
    assert site.names() == [f"{HOOK} 1", f"{OTHER} 1"], "what has a new key opens at once"
    assert site.receivers.waiting
    assert site.receivers.wants(HOOK)
    assert site.receivers.health() == {OTHER: DeliveryHealth(1, 0, f"{OTHER} 1"), HOOK: DeliveryHealth(0, 0, WAITS)}
    site.receivers.look()
    assert len(site.made) == 2
    site.made[0].ended = True
    site.receivers.look()
    assert site.names()[2:] == [f"{HOOK} 2"]
    assert not site.receivers.waiting
    site.receivers.wake()
    assert [channel.calls for channel in site.made] == [["stop"], ["wake"], ["wake"]]


def test_of_several_changes_meanwhile_the_newest_is_opened() -> None:
    site = Site()
    for name in ("1", "2", "3", "1", "4"):
        site.receivers.follow({HOOK: file_action(name)})
    assert site.names() == [f"{HOOK} 1"]
    assert site.made[0].calls == ["stop"]
    site.made[0].ended = True
    site.receivers.look()
    site.receivers.look()
    assert site.names() == [f"{HOOK} 1", f"{HOOK} 4"]


def test_one_that_is_wanted_again_as_it_was_is_opened_anew() -> None:
    site = Site()
    for wanted in ({HOOK: file_action("1")}, {}, {HOOK: file_action("1")}):
        site.receivers.follow(wanted)
    assert site.names() == [f"{HOOK} 1"]
    site.made[0].ended = True
    site.receivers.look()
    assert site.names() == [f"{HOOK} 1", f"{HOOK} 1"]


def test_one_that_is_gone_for_good_is_not_waited_for() -> None:
    site = Site()
    site.receivers.follow({HOOK: file_action("1")})
    site.receivers.follow({})
    assert not site.receivers.waiting
    assert not site.receivers.wants(HOOK)
    assert site.receivers.health() == {}


def test_at_the_end_all_are_told_before_any_is_waited_for() -> None:
    site, order = Site(), []
    site.receivers.follow({HOOK: file_action("1"), OTHER: file_action("1")})
    site.receivers.follow({HOOK: file_action("2"), OTHER: file_action("1")})
    site.receivers.close(lambda: order.append([list(channel.calls) for channel in site.made]))
    assert order[0] == [["stop", "stop"], ["stop"]], "and there is a beat before the first wait"
    assert len(order) == 2
    assert [channel.calls[-1] for channel in site.made] == ["close", "close"]


# -- with what really delivers ------------------------------------------------------------


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    one = SqliteOutbox(tmp_path / "outbox.db")
    yield one
    one.close()


class Slow:
    """A receiver whose first call lasts until it is released."""

    batch = 1
    together = False

    def __init__(self) -> None:
        self.called = threading.Event()
        self.release = threading.Event()
        self.taken: list[int] = []

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        for row in rows:
            self.called.set()
            assert self.release.wait(30)
            self.taken.append(row.row_id)
            done(row)

    def close(self) -> None:
        """Nothing to close."""


def test_what_comes_while_a_receiver_ends_is_delivered_once_by_the_next(outbox: SqliteOutbox) -> None:
    slow = Slow()
    receivers = OpenReceivers(lambda key, _: Delivery(outbox, key, slow))
    receivers.follow({HOOK: file_action("1")})
    outbox.commit("j", 1, {}, [new(n, HOOK) for n in range(3)])
    receivers.wake()
    assert slow.called.wait(10)
    receivers.follow({HOOK: file_action("2")})
    outbox.commit("j", 2, {}, [new(n, HOOK) for n in range(3, 6)])
    receivers.wake()
    receivers.look()
    assert receivers.waiting
    slow.release.set()

    def opened() -> bool:
        receivers.look()
        return not receivers.waiting

    until(opened, "the old one has ended")
    until(lambda: outbox.channels() == [], "nothing waits")
    receivers.close(lambda: None)
    assert slow.taken == [1, 2, 3, 4, 5, 6]


class SlowLine:
    """A line that confirms a signal once it is released."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.release = threading.Event()

    def on(self, _: OutboxRow) -> None:
        self.called.set()
        assert self.release.wait(30)

    def prepare(self) -> None: ...
    def off(self) -> None: ...
    def mend(self) -> None: ...
    def close(self) -> None: ...


def test_a_signal_has_ended_once_the_outbox_knows_what_it_gave(outbox: SqliteOutbox) -> None:
    line = SlowLine()
    delivery = SignalDelivery(outbox, HOOK, line, Timing(), PictureTimes())
    outbox.commit("j", 1, {}, [new(n, HOOK) for n in range(2)])
    delivery.wake()
    assert line.called.wait(10)
    delivery.stop()
    assert not delivery.ended
    line.release.set()
    until(lambda: delivery.ended, "ended")
    assert [row.row_id for row in outbox.rows(HOOK, 0, None, 10)] == [2], "what was given is not given again"
    delivery.close()
