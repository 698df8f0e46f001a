"""The receivers of the plan in force: opened, replaced and ended while judging goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from vedette.compose.receivers import Channel
from vedette.contracts.manifest import Action
from vedette.pipeline.deliver import DeliveryHealth

#: What is said of an action whose receiver as it is now cannot be opened yet.
WAITS: Final = "its receiver was changed amid a call; what waits is delivered once that call has ended"


class OpenReceivers:
    """What works off the queues of a plan's actions: for each key one channel at most.

    A receiver that is replaced may hang in a call until its timeout. Nobody waits for that: it is told to stop, and the
    one that takes its place is opened once it has ended, because each of two would deliver the same alert. What comes
    meanwhile is in the outbox, which a channel works off from its beginning.

    For one thread, but for ``wake`` and ``health``.

    Args:
        open_one: key and action → its channel.
    """

    def __init__(self, open_one: Callable[[str, Action], Channel]) -> None:
        self._open_one = open_one
        self._lock = threading.Lock()  # guards what other threads read
        self._wanted: dict[str, Action] = {}
        self._opened: dict[str, Action] = {}
        self._channels: dict[str, Channel] = {}
        self._ending: dict[str, Channel] = {}

    @property
    def waiting(self) -> bool:
        """Whether one is wanted that cannot be opened yet."""
        return any(key in self._wanted for key in self._ending)

    def wants(self, key: str) -> bool:
        """Whether the plan has such an action, opened or not."""
        return key in self._wanted

    def has(self, key: str) -> bool:
        """Whether a channel is open for it."""
        return key in self._channels

    def add(self, key: str, channel: Channel) -> None:
        """One that belongs to no action: it stays until ``close``."""
        with self._lock:
            self._channels[key] = channel

    def follow(self, wanted: Mapping[str, Action]) -> None:
        """Go on with receivers that are as they were, replace those that changed, end those that are gone."""
        gone = [key for key, action in self._opened.items() if wanted.get(key) != action]
        with self._lock:
            self._wanted = dict(wanted)
            ending = {key: self._channels.pop(key) for key in gone}
            self._ending |= ending  # each key once: while one ends, none of its key is open
        for key, channel in ending.items():
            del self._opened[key]
            channel.stop()
        self.look()

    def look(self) -> None:
        """Open what is wanted and no longer has to wait."""
        with self._lock:
            self._ending = {key: channel for key, channel in self._ending.items() if not channel.ended}
        for key, action in self._wanted.items():
            if key not in self._opened and key not in self._ending:
                channel = self._open_one(key, action)
                self._opened[key] = action
                self.add(key, channel)

    def wake(self) -> None:
        """Something was committed."""
        with self._lock:
            channels = list(self._channels.values())
        for channel in channels:
            channel.wake()

    def health(self) -> dict[str, DeliveryHealth]:
        """How each fares."""
        with self._lock:
            told = {key: channel.health() for key, channel in self._channels.items()}
            waiting = [key for key in self._ending if key in self._wanted]
        return {**told, **{key: DeliveryHealth(0, 0, WAITS) for key in waiting}}

    def close(self, alive: Callable[[], None]) -> None:
        """End all at the same time, and wait for each: it may take some seconds.

        Args:
            alive: called before each wait.
        """
        channels = [*self._channels.values(), *self._ending.values()]
        for channel in channels:
            channel.stop()
        for channel in channels:
            alive()
            channel.close()
