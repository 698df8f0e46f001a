"""What people and systems are told of an alert by the account."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.alert import Alert
from vedette.core.fleet.archive import Place
from vedette.core.messages import body, one_line, short_text, subject

#: SNS: subjects are ASCII, shorter than 100 characters; a short message has room for 140 bytes before it is cut in two.
_SUBJECT: Final = 99
_SHORT: Final = 140
#: The account does not know a site's time zone.
_ZONE: Final = "UTC"


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert as SNS takes it.

    Attributes:
        subject: of the mail.
        message: JSON by protocol: mail, short message, and the alert itself for machines.
        attributes: what subscriptions filter by.
    """

    subject: str
    message: str
    attributes: dict[str, str]


def notice(alert: Alert, place: Place) -> Notice:
    """What SNS is given."""
    document = json.dumps(event_detail(alert, place), separators=(",", ":"))
    texts = {
        "default": document,
        "http": document,
        "https": document,
        "email": body((alert,), _ZONE) + f"  {'Site:':<11}{place.site}\n",
        "sms": _ascii(one_line(f"{place.site}: {short_text(alert, _ZONE)}", _SHORT), _SHORT),
    }
    return Notice(
        subject=_ascii(subject((alert,), f"[{place.site}]"), _SUBJECT),
        message=json.dumps(texts, separators=(",", ":")),
        attributes={
            "site": place.site,
            "application": alert.application,
            "severity": alert.severity.value,
            "device": alert.device,
        },
    )


def event_detail(alert: Alert, place: Place) -> dict[str, Any]:
    """The alert with its site and fleet, as EventBridge and machines behind SNS get it."""
    return {"site": place.site, "fleet": place.fleet, "alert": alert.model_dump(mode="json", exclude_none=True)}


def _ascii(text: str, limit: int) -> str:
    """Without what SNS refuses in a subject, or what would halve the room of a short message."""
    plain = text.replace("…", "...").encode("ascii", "replace").decode()
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
