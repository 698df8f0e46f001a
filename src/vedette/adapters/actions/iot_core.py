"""Alerts to the owner's AWS account: published over the nucleus, kept until the ledger says that it has them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import ValidationError

from vedette.contracts import topics
from vedette.contracts.alert import CloudAcknowledgement, CloudTombstone
from vedette.ports.bus import Bus
from vedette.ports.outbox import OutboxRow

log = logging.getLogger(__name__)

#: Nucleus lite takes messages of 10,000 bytes, and the payload travels as base64 inside JSON.
MAX_PAYLOAD_BYTES: Final = 7_000
MAX_ACKNOWLEDGEMENT_BYTES: Final = 1_024


class CloudLink:
    """Speaks the device's side of the ledger's protocol.

    Args:
        bus: Greengrass.
        thing: IoT thing name.
    """

    def __init__(self, bus: Bus, thing: str) -> None:
        self._bus = bus
        self._alerts = topics.cloud_alerts(thing)
        self._acknowledgements = topics.cloud_ack(thing)
        self._insights = topics.cloud_insights(thing)

    def listen(self, acknowledged: Callable[[str, int], None]) -> None:
        """Call back with epoch and number at each acknowledgement; what is none is left out.

        Raises:
            CoreError: V603, the subscription was refused.
        """

        def receive(_topic: str, payload: bytes) -> None:
            if len(payload) > MAX_ACKNOWLEDGEMENT_BYTES:
                log.warning("an acknowledgement of %d bytes was left out", len(payload))
                return
            try:
                found = CloudAcknowledgement.model_validate_json(payload)
            except ValidationError as error:
                log.warning("an acknowledgement was left out: %s", error.errors()[0]["msg"])
                return
            acknowledged(found.epoch, found.through_seq)

        self._bus.subscribe_cloud(self._acknowledgements, receive)

    def send(self, row: OutboxRow) -> None:
        """Publish one alert. Returning does not mean delivered.

        Raises:
            DeliveryError: V502, the nucleus could not take it.
        """
        self._bus.publish_cloud(self._alerts, envelope(row))

    def send_tombstone(self, tombstone: CloudTombstone) -> None:
        """Publish that numbers will never come.

        Raises:
            DeliveryError: V502, the nucleus could not take it.
        """
        self._bus.publish_cloud(self._alerts, tombstone.model_dump_json().encode())

    def send_report(self, body: bytes) -> None:
        """Publish one report of insights.

        Raises:
            DeliveryError: V502, the nucleus could not take it.
        """
        self._bus.publish_cloud(self._insights, body)


def envelope(row: OutboxRow) -> bytes:
    """The alert with its place in the sequence, small enough for every nucleus.

    An alert about very many objects loses boxes and track ids from the end, then attributes, then the end of its
    message; never itself: what a nucleus cannot take would stop everything behind it.
    """
    alert: dict[str, Any] = json.loads(row.body)
    document = {"epoch": row.epoch, "seq": row.seq, "alert_id": row.alert_id, "alert": alert}
    payload = _packed(document)
    smaller = _ever_smaller(alert)
    while len(payload) > MAX_PAYLOAD_BYTES and next(smaller, False):
        payload = _packed(document)
    return payload


def _packed(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def _ever_smaller(alert: dict[str, Any]) -> Iterator[bool]:
    """Take something away each time, the least important first."""
    boxes, track_ids = list(alert.get("boxes", ())), list(alert.get("track_ids", ()))
    kept = max(len(boxes), len(track_ids))
    while kept:
        kept = kept * 3 // 4
        alert["boxes"], alert["track_ids"] = boxes[:kept], track_ids[:kept]
        yield True
    attributes = alert.get("attributes", {})
    while attributes:
        attributes.popitem()
        yield True
    for name in ("message", "label"):
        while text := alert.get(name, ""):
            alert[name] = text[: len(text) // 2]
            yield True
