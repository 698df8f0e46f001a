"""Telling people and systems of alerts: SNS by severity, events, the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aws_lambda_powertools import Logger

from lambdas.common.events import send_events
from lambdas.common.requests import asking, chunks
from lambdas.common.streams import send_rows
from vedette.contracts.alert import Alert, Severity
from vedette.contracts.errors import CloudError
from vedette.core.fleet.archive import Place, alert_row
from vedette.core.fleet.notification import event_detail, notice

PEOPLE: Final = "people"
EVENTS: Final = "events"
ARCHIVE: Final = "archive"
CHANNELS: Final = frozenset({PEOPLE, EVENTS, ARCHIVE})
DETAIL_TYPE: Final = "Alert"


@dataclass(frozen=True, slots=True)
class ToTell:
    """An alert that somebody has to be told of.

    Attributes:
        alert: it.
        place: of its device.
        received: when the account got it.
        sent: channels that have it already.
    """

    alert: Alert
    place: Place
    received: datetime
    sent: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Where notifications go.

    Attributes:
        sns: client.
        events: client of EventBridge.
        firehose: client.
        topics: of SNS, by severity.
        bus: of events.
        stream: of Firehose.
    """

    sns: Any
    events: Any
    firehose: Any
    topics: Mapping[Severity, str]
    bus: str
    stream: str


class Notifier:
    """Tells of several alerts at once; what one channel refuses does not keep the others from getting it.

    Args:
        channels: where to.
        log: of the function.
    """

    def __init__(self, channels: Channels, log: Logger) -> None:
        self._channels = channels
        self._log = log

    def tell(self, alerts: Sequence[ToTell]) -> list[frozenset[str]]:
        """For each alert the channels that have it now, in the same order."""
        sent = [set(one.sent) for one in alerts]
        ways: tuple[tuple[str, Callable[[Sequence[ToTell]], list[bool]]], ...] = (
            (PEOPLE, self._people),
            (EVENTS, self._events),
            (ARCHIVE, self._archive),
        )
        for channel, way in ways:
            open_ = [at for at, one in enumerate(alerts) if channel not in one.sent]
            for part in chunks(open_):
                try:
                    taken = way([alerts[at] for at in part])
                except CloudError as error:
                    self._log.error(str(error), channel=channel, alerts=len(part))
                    continue
                for at, ok in zip(part, taken, strict=True):
                    if ok:
                        sent[at].add(channel)
        return [frozenset(one) for one in sent]

    def _people(self, alerts: Sequence[ToTell]) -> list[bool]:
        taken = [False] * len(alerts)
        for severity, topic in self._channels.topics.items():
            mine = [at for at, one in enumerate(alerts) if one.alert.severity is severity]
            if not mine:
                continue
            try:
                with asking(f"the topic of {severity.value} alerts"):
                    said = self._channels.sns.publish_batch(
                        TopicArn=topic, PublishBatchRequestEntries=[_entry(at, alerts[at]) for at in mine]
                    )
            except CloudError as error:  # the other topics' alerts went out all the same
                self._log.error(str(error), channel=PEOPLE, alerts=len(mine))
                continue
            for one in said.get("Successful", ()):
                taken[int(one["Id"])] = True
        return taken

    def _events(self, alerts: Sequence[ToTell]) -> list[bool]:
        details = [event_detail(one.alert, one.place) for one in alerts]
        return send_events(self._channels.events, self._channels.bus, DETAIL_TYPE, details)

    def _archive(self, alerts: Sequence[ToTell]) -> list[bool]:
        rows = [alert_row(one.alert, one.place, one.received) for one in alerts]
        return send_rows(self._channels.firehose, self._channels.stream, rows)


def _entry(at: int, one: ToTell) -> dict[str, Any]:
    said = notice(one.alert, one.place)
    return {
        "Id": str(at),
        "Subject": said.subject,
        "Message": said.message,
        "MessageStructure": "json",
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in said.attributes.items()
        },
    }
