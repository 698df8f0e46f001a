"""Alerts in words for people: subject and body of a mail, the text of a short message."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from vedette.contracts.alert import Alert, Severity

#: Longest subject, characters.
SUBJECT: Final = 150
#: Categories of characters that are no text: controls, formats (they turn the direction of what follows), line and
#: paragraph separators, halves of surrogate pairs, what nobody has assigned.
_NO_TEXT: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Cn", "Co"})
_URGENCY: Final = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


def one_line(text: str, limit: int) -> str:
    """A text that is one line, of printable characters, at most ``limit`` of them."""
    plain = "".join(" " if unicodedata.category(mark) in _NO_TEXT else mark for mark in text)
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "…"


def subject(alerts: Sequence[Alert], prefix: str = "") -> str:
    """What a message is about, the most urgent alert first."""
    worst = _worst(alerts)
    urgency = "" if worst.severity is Severity.WARNING else f"{worst.severity.value.upper()}: "
    more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
    head = f"{one_line(prefix, 60)} " if prefix.strip() else ""
    return one_line(f"{head}{urgency}{_sentence(worst)}", SUBJECT - len(more)) + more


def body(alerts: Sequence[Alert], timezone: str) -> str:
    """Everything there is to say, plain text with lines of their own."""
    zone = ZoneInfo(timezone)
    if len(alerts) == 1:
        return _details(alerts[0], zone, timezone)
    lines = [f"{len(alerts)} alerts, in the order in which they were judged.", ""]
    for alert in alerts:
        lines += [_details(alert, zone, timezone), ""]
    return "\n".join(lines).rstrip() + "\n"


def short_text(alert: Alert, timezone: str) -> str:
    """One line: urgency, time, what happened."""
    moment = alert.time.astimezone(ZoneInfo(timezone))
    urgency = "" if alert.severity is Severity.WARNING else f"{alert.severity.value.upper()} "
    return one_line(f"{urgency}{moment:%H:%M:%S} {_sentence(alert)}", 800)


def worst_severity(alerts: Sequence[Alert]) -> Severity:
    """The most urgent of several."""
    return _worst(alerts).severity


def _worst(alerts: Sequence[Alert]) -> Alert:
    return max(reversed(alerts), key=lambda alert: _URGENCY.index(alert.severity))


def _sentence(alert: Alert) -> str:
    return one_line(alert.message or f"{alert.rule} on {alert.camera}", 400)


def _details(alert: Alert, zone: ZoneInfo, timezone: str) -> str:
    moment = alert.time.astimezone(zone)
    rows = [
        ("Rule", f"{alert.rule} ({alert.severity.value})"),
        ("Where", f"camera {alert.camera}, application {alert.application}, device {alert.device}"),
        ("When", f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()} ({timezone})"),
    ]
    if alert.duration_s is not None:
        rows.append(("How long", _duration(alert.duration_s)))
    if alert.label:
        sure = "" if alert.confidence is None else f", confidence {alert.confidence:.2f}"
        rows.append(("Object", f"{alert.label}{sure}"))
    if alert.count is not None:
        rows.append(("Count", str(alert.count)))
    if alert.direction is not None:
        rows.append(("Direction", alert.direction.value.replace("_", " ")))
    if alert.attributes:
        rows.append(("Details", ", ".join(f"{name}: {value}" for name, value in alert.attributes.items())))
    rows.append(("Alert", alert.alert_id))
    lines = [_sentence(alert), *(f"  {name + ':':<11}{one_line(value, 400)}" for name, value in rows)]
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
