"""The outbox: what was judged and is not delivered yet, on disk before anyone is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from vedette.contracts.alert import Alert, CloudTombstone

#: The one channel to the cloud. Every ``iot_core`` action of every application goes through it, because the ledger
#: counts one sequence per device. It cannot be the key of an action: those hold a slash.
CLOUD_CHANNEL: Final = "iot_core"
#: The one channel to what makes evidence of alerts; likewise no action's key.
EVIDENCE_CHANNEL: Final = "evidence"
#: Begins the name of a file that reports of insights go to.
FILE_TARGET: Final = "file:"


def channel_of(key: str, action_type: str) -> str:
    """The channel of an action.

    Args:
        key: of ``Plan.actions``.
        action_type: the action's ``type``.
    """
    return CLOUD_CHANNEL if action_type == CLOUD_CHANNEL else key


class Origin(StrEnum):
    """Where the position in the journal comes from."""

    FRESH = "fresh"  # a new outbox: judge everything the journal holds
    RESUMED = "resumed"
    LOST = "lost"  # the file was damaged and the position could not be read


@dataclass(frozen=True, slots=True)
class Resume:
    """Where judging stopped.

    Attributes:
        journal: identity of the journal the cursor belongs to.
        cursor: sequence number of the last batch judged.
        state: what ``Judge.state()`` said then.
    """

    origin: Origin
    journal: str
    cursor: int
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert and the channels it goes to (keys of ``Plan.actions``, or ``CLOUD_CHANNEL``)."""

    alert: Alert
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutgoingReport:
    """A report of insights and where it goes.

    Attributes:
        report_id: the report's own.
        targets: ``CLOUD_CHANNEL``, or ``FILE_TARGET`` and a path as the manifest names it.
        body: the report as JSON.
    """

    report_id: str
    targets: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class QueuedReport:
    """A report on its way to one target."""

    target: str
    report_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Seconds of a camera that no rule has seen."""

    pipeline: str
    camera: str
    from_wall_s: float
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One alert on its way to one receiver.

    Attributes:
        row_id: increases with the order of judging.
        channel: whom it is for.
        alert_id: the alert's own.
        camera: ``<application>/<camera>``: what order is kept within.
        body: the alert as JSON.
        epoch: outbox epoch, for the cloud only.
        seq: number within the epoch, for the cloud only; else 0.
        created_wall_s: Unix time of judging.
    """

    row_id: int
    channel: str
    alert_id: str
    camera: str
    body: bytes
    epoch: str = ""
    seq: int = 0
    created_wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """One receiver's queue."""

    pending: int
    oldest_wall_s: float | None


@dataclass(frozen=True, slots=True)
class OutboxHealth:
    """Totals, for the health report.

    Attributes:
        channels: by name.
        durable: False while the disk refuses: new alerts are delivered, but a crash may repeat them.
        problem: what is wrong with the disk, for people; empty where nothing is.
        volatile: alerts that exist in memory only (the journal still has what they came from).
        evicted: alerts given up to stay within the quota, by severity, ever.
        dead_letters: alerts receivers refused for good, ever.
        salvaged: alerts read out of a damaged file, ever.
        not_analysed_s: seconds not analysed, ever.
        used_bytes: of the quota.
        reports: of insights, that wait.
        reports_dropped: of insights, given up for their age or for room, ever.
    """

    channels: Mapping[str, ChannelHealth] = field(default_factory=dict)
    durable: bool = True
    problem: str = ""
    volatile: int = 0
    evicted: Mapping[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    salvaged: int = 0
    not_analysed_s: float = 0.0
    used_bytes: int = 0
    reports: int = 0
    reports_dropped: int = 0


class Outbox(Protocol):
    """Safe to call from several threads."""

    @property
    def epoch(self) -> str:
        """Names this file; sequence numbers for the cloud count within it."""
        ...

    def resume(self) -> Resume:
        """Where judging stopped."""
        ...

    def commit(
        self,
        journal: str,
        cursor: int,
        state: Mapping[str, Any],
        alerts: Sequence[NewAlert] = (),
        gaps: Sequence[Gap] = (),
        reports: Sequence[OutgoingReport] = (),
    ) -> int:
        """One transaction: where judging stands, and what it found. An ``alert_id`` that was had is left out.

        While the disk refuses, alerts are kept in memory and delivered from there; reports wait for the disk.

        Returns:
            How many alerts were new.

        Raises:
            StorageError: V404, the disk refuses and memory holds all it may; judge on when that has changed.
        """
        ...

    def flush(self) -> bool:
        """Try again to write what the disk refused; whether everything is on disk."""
        ...

    def rows(self, channel: str, after: int, through: int | None, limit: int) -> Sequence[OutboxRow]:
        """Undelivered rows with ``after < row_id <= through``, oldest first."""
        ...

    def count(self, channel: str, after: int, limit: int) -> int:
        """How many undelivered rows are above ``after``, counting no further than ``limit``."""
        ...

    def newest(self, channel: str) -> int:
        """Highest undelivered row_id of a channel; 0 where there is none."""
        ...

    def delivered(self, channel: str, row_ids: Sequence[int]) -> None:
        """The receiver has them: forget them."""
        ...

    def refused(self, row: OutboxRow, reason: str) -> None:
        """The receiver will never take it: keep it as a dead letter, and tell the cloud's sequence."""
        ...

    def give_up(self, refused: Sequence[tuple[OutboxRow, str]]) -> None:
        """``refused`` for many rows, each with its reason, in one transaction."""
        ...

    def acknowledge(self, epoch: str, through_seq: int) -> int:
        """The ledger has everything of the epoch up to here; how many rows that freed."""
        ...

    def tombstones(self, limit: int) -> Sequence[CloudTombstone]:
        """Numbers the cloud will never get, lowest first, until acknowledged."""
        ...

    def report_targets(self) -> Sequence[str]:
        """Whoever reports of insights wait for."""
        ...

    def reports(self, target: str, limit: int) -> Sequence[QueuedReport]:
        """Reports that wait for a target, oldest first."""
        ...

    def reports_sent(self, done: Sequence[QueuedReport]) -> None:
        """Their targets have them: forget them."""
        ...

    def channels(self) -> Sequence[str]:
        """Channels with undelivered rows."""
        ...

    def abandon(self, channel: str, reason: str) -> int:
        """Make dead letters of every row of a channel that exists no more; how many."""
        ...

    def health(self) -> OutboxHealth:
        """Totals."""
        ...

    def close(self) -> None:
        """Write what is waiting and close; idempotent."""
        ...
