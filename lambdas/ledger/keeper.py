"""What happens to a batch of messages: into the ledger, to people, into the sequence, back to the device.

A message is taken from the queue when its alert is in the ledger, everybody was told, and the device's sequence has it.
What failed of that is delivered again and only that is repeated. The acknowledgement waits for the ledger's row and
for nothing else: from then on it is the queue's message, not the device, that makes sure that people are told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aws_lambda_powertools import Logger

from lambdas.common.batch import Record, answer, from_device, parsed, records
from lambdas.common.places import Places
from lambdas.common.requests import asking
from lambdas.ledger.notify import CHANNELS, Notifier, ToTell
from lambdas.ledger.rows import LedgerRows, Telling
from lambdas.ledger.sequences import Sequences
from vedette.contracts.alert import CloudAcknowledgement, CloudAlert, CloudTombstone
from vedette.contracts.errors import CloudError
from vedette.contracts.topics import cloud_ack
from vedette.core.fleet.acknowledgement import Range
from vedette.core.fleet.archive import Place, in_utc
from vedette.core.fleet.entries import MAX_SEQ

#: An epoch is part of a key.
_MAX_EPOCH: Final = 128


@dataclass(frozen=True, slots=True)
class _Message:
    """One message of a device."""

    record: Record
    thing: str
    content: CloudAlert | CloudTombstone

    @property
    def range(self) -> Range:
        if isinstance(self.content, CloudAlert):
            return Range(self.content.seq, self.content.seq)
        return Range(self.content.from_seq, self.content.through_seq)


class Keeper:
    """Works on batches.

    Args:
        places: of devices.
        rows: the ledger.
        notifier: tells of alerts.
        sequences: of devices.
        iot: client of the IoT data plane.
        log: of the function.
        now: clock, seconds since 1970.
    """

    def __init__(
        self,
        *,
        places: Places,
        rows: LedgerRows,
        notifier: Notifier,
        sequences: Sequences,
        iot: Any,
        log: Logger,
        now: Callable[[], float],
    ) -> None:
        self._places = places
        self._rows = rows
        self._notifier = notifier
        self._sequences = sequences
        self._iot = iot
        self._log = log
        self._now = now

    def work(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """One call: which messages have to be delivered again.

        Raises:
            CloudError: V003, the devices' places cannot be had; V011, no call by a queue. All messages come again.
        """
        failed: set[str] = set()
        messages = []
        for record in records(event):
            try:
                messages.append(_read(record))
            except CloudError as error:
                self._refuse((record.id,), error, failed)
        places = self._places.of(message.thing for message in messages)
        kept = self._keep(messages, places, failed)
        self._acknowledge(kept, failed)
        return answer(failed)

    def _keep(self, messages: list[_Message], places: Mapping[str, Place], failed: set[str]) -> list[_Message]:
        """Put alerts into the ledger and tell of them; the messages whose sequence numbers are safe now."""
        kept = [message for message in messages if isinstance(message.content, CloudTombstone)]
        to_tell: list[ToTell] = []
        records_of: dict[str, list[str]] = {}
        for same in _by_alert(messages):
            first, ids = same[0], [message.record.id for message in same]
            assert isinstance(first.content, CloudAlert)
            place = places[first.thing]
            try:
                row = self._rows.keep(first.content, place, self._now())
            except CloudError as error:
                self._refuse(ids, error, failed)
                continue
            kept += same
            if row.telling is Telling.OURS:
                received = datetime.fromtimestamp(min(message.record.sent_ms for message in same) / 1000, UTC)
                to_tell.append(ToTell(first.content.alert, place, received, row.sent))
                records_of[first.content.alert_id] = ids
            elif row.telling is Telling.BUSY:  # the other call may die; then this message is what is left
                failed.update(ids)
        self._tell(to_tell, records_of, failed)
        return kept

    def _tell(self, alerts: list[ToTell], records_of: Mapping[str, list[str]], failed: set[str]) -> None:
        for one, sent in zip(alerts, self._notifier.tell(alerts), strict=True):
            alert_id, now_s = one.alert.alert_id, self._now()
            try:
                if sent == CHANNELS:
                    self._rows.told(alert_id, now_s)
                else:
                    failed.update(records_of[alert_id])
                    self._rows.not_told(alert_id, sent)
            except CloudError as error:
                self._refuse(records_of[alert_id], error, failed)

    def _acknowledge(self, kept: Iterable[_Message], failed: set[str]) -> None:
        streams: dict[tuple[str, str], list[_Message]] = defaultdict(list)
        for message in kept:
            streams[message.thing, message.content.epoch].append(message)
        for (thing, epoch), messages in streams.items():
            try:
                through = self._sequences.record(thing, epoch, (message.range for message in messages))
                if through:
                    self._publish(thing, CloudAcknowledgement(epoch=epoch, through_seq=through))
            except CloudError as error:
                self._refuse((message.record.id for message in messages), error, failed)

    def _publish(self, thing: str, acknowledgement: CloudAcknowledgement) -> None:
        with asking(f"the acknowledgement to {thing}"):
            self._iot.publish(topic=cloud_ack(thing), qos=1, payload=acknowledgement.model_dump_json().encode())

    def _refuse(self, ids: Iterable[str], error: CloudError, failed: set[str]) -> None:
        refused = sorted(ids)
        failed.update(refused)
        self._log.error(str(error), code=error.code, messages=refused)


def _read(record: Record) -> _Message:
    """One message, if it is one.

    Raises:
        CloudError: V011, it is neither alert nor tombstone, or about another device than the one that sent it.
    """
    thing, document = from_device(record)
    content: CloudAlert | CloudTombstone
    if "tombstone" in document:
        content = parsed(document, CloudTombstone, f"{thing} sent no CloudTombstone")
    else:
        content = parsed(document, CloudAlert, f"{thing} sent no CloudAlert")
    if len(content.epoch) > _MAX_EPOCH:
        raise CloudError(f"{thing} sent an epoch of {len(content.epoch)} characters.", code="V011")
    if isinstance(content, CloudTombstone):
        last, ordered = content.through_seq, content.from_seq <= content.through_seq
    else:
        last, ordered = content.seq, True
        if content.alert.device != thing:
            raise CloudError(f"{thing} sent an alert of the device {content.alert.device!r}.", code="V011")
        if not in_utc(content.alert.time):
            raise CloudError(f"{thing} sent an alert of a time that cannot be: {content.alert.time}.", code="V011")
        if content.alert.alert_id != content.alert_id:
            raise CloudError(f"{thing} sent an alert under two identifiers.", code="V011")
    if not ordered or last > MAX_SEQ:
        raise CloudError(f"{thing} sent sequence numbers that cannot be: up to {last}.", code="V011")
    return _Message(record, thing, content)


def _by_alert(messages: Iterable[_Message]) -> Iterable[list[_Message]]:
    """Messages about the same alert of the same device together: a batch may hold repeats."""
    found: dict[tuple[str, str], list[_Message]] = defaultdict(list)
    for message in messages:
        if isinstance(message.content, CloudAlert):
            found[message.thing, message.content.alert_id].append(message)
    return found.values()
