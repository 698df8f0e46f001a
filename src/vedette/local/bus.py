"""Publish/subscribe between the components of one device, and of IoT Core messages among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vedette.local.access import topic_matches

M = TypeVar("M")


@dataclass(slots=True, eq=False)
class Subscription(Generic[M]):
    """One subscriber's wish.

    Attributes:
        topic_filter: plain topic, or with ``+`` and ``#``.
        deliver: called in the event loop with topic and message; must not block.
        owner: whoever must not hear its own messages; compared by identity.
        others_only: leave out messages published by ``owner``.
    """

    topic_filter: str
    deliver: Callable[[str, M], None]
    owner: object = None
    others_only: bool = False


@dataclass(slots=True)
class Bus(Generic[M]):
    """Every subscription of one kind of message; plain topics are found without a scan."""

    _plain: dict[str, list[Subscription[M]]] = field(default_factory=dict)
    _wild: list[Subscription[M]] = field(default_factory=list)

    def add(self, subscription: Subscription[M]) -> None:
        """Starts delivery."""
        self._list(subscription.topic_filter).append(subscription)

    def remove(self, subscription: Subscription[M]) -> None:
        """Ends delivery; nothing happens where it has ended."""
        subscribers = self._list(subscription.topic_filter)
        if subscription in subscribers:
            subscribers.remove(subscription)
        if not subscribers:
            self._plain.pop(subscription.topic_filter, None)

    def wants(self, topic_filter: str) -> bool:
        """Whether anyone subscribed with exactly this filter."""
        return topic_filter in self._plain or any(each.topic_filter == topic_filter for each in self._wild)

    def publish(self, topic: str, message: M, *, publisher: object = None) -> int:
        """Hands a message to everyone who wants it; the number of them."""
        wanting = [
            subscription
            for subscription in (*self._plain.get(topic, ()), *self._wild)
            if topic_matches(subscription.topic_filter, topic)
            and not (subscription.others_only and subscription.owner is publisher)
        ]
        for subscription in wanting:
            subscription.deliver(topic, message)
        return len(wanting)

    def _list(self, topic_filter: str) -> list[Subscription[M]]:
        if "+" in topic_filter or "#" in topic_filter:
            return self._wild
        return self._plain.setdefault(topic_filter, [])
