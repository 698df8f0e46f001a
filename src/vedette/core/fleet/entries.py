"""What a device sends to the ledger, as far as the sequence is concerned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

MAX_SEQ: Final = 1 << 62


class NotForLedgerError(ValueError):
    """A payload that is neither an alert nor a tombstone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message for the ledger.

    Attributes:
        epoch: of the device's outbox.
        first: lowest sequence number it accounts for, from 1.
        last: highest.
        alert_id: of the alert; None for a tombstone.
        payload: the message as it came.
    """

    epoch: str
    first: int
    last: int
    alert_id: str | None
    payload: bytes

    @classmethod
    def parse(cls, payload: bytes) -> Entry:
        """Reads a message of the alerts topic.

        Raises:
            NotForLedgerError: it is neither an alert nor a tombstone.
        """
        try:
            document = json.loads(payload)
        except (ValueError, RecursionError):
            raise NotForLedgerError("no JSON") from None
        if not isinstance(document, dict) or not isinstance(document.get("epoch"), str):
            raise NotForLedgerError("no epoch")
        if document.get("tombstone"):
            first = _number(document, "from_seq", "seq")
            return cls(document["epoch"], first, max(first, _number(document, "through_seq", "seq")), None, payload)
        alert_id = document.get("alert_id")
        if not isinstance(alert_id, str) or not alert_id:
            raise NotForLedgerError("no alert_id")
        seq = _number(document, "seq")
        return cls(document["epoch"], seq, seq, alert_id, payload)


def _number(document: dict[str, Any], *keys: str) -> int:
    for key in keys:
        value = document.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_SEQ:
            return value
    raise NotForLedgerError(f"no usable {keys[0]}")
