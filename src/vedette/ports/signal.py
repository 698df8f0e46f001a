"""Something on the site that is switched: a coil, a node, a line."""

from __future__ import annotations

from typing import Protocol

from vedette.ports.outbox import OutboxRow


class Line(Protocol):
    """One output. Called from one thread.

    Every method but ``close`` raises DeliveryError, with ``retryable`` False where trying again is of no use.
    """

    def prepare(self) -> None:
        """Do now what takes time, so that ``on`` and ``off`` are a single message; quick where it was done."""
        ...

    def on(self, row: OutboxRow) -> None:
        """Give the signal of an alert; returns when the receiver has confirmed it."""
        ...

    def off(self) -> None:
        """Put the line at rest; returns when the receiver has confirmed it."""
        ...

    def mend(self) -> None:
        """At the start: put at rest what an earlier process left on."""
        ...

    def close(self) -> None:
        """Let go of connections and devices; idempotent, raises nothing."""
        ...
