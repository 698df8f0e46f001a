"""Values that contradict each other, and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from vedette.core.manifest_checks.finding import Finding, Path
from vedette.core.manifest_checks.plain import dicts, number


def check_values(document: dict[str, Any]) -> Iterator[Finding]:
    """Values that contradict each other, and addresses of receivers."""
    for name, pipeline in dicts(document, "pipelines").items():
        tracker = pipeline.get("tracker")
        if isinstance(tracker, dict):
            low, high = number(tracker.get("low_confidence", 0.1)), number(tracker.get("high_confidence", 0.45))
            if low is not None and high is not None and low > high:
                key = "low_confidence" if "low_confidence" in tracker else "high_confidence"
                yield Finding(
                    ("pipelines", name, "tracker", key),
                    f"low_confidence {low:g} is above high_confidence {high:g}",
                    "low_confidence at most high_confidence",
                )
    for name, rule in dicts(document, "rules").items():
        if rule.get("type") == "count" and ("above" in rule) == ("below" in rule):
            found = "both `above` and `below`" if "above" in rule else "neither `above` nor `below`"
            yield Finding(("rules", name, *(("below",) if "below" in rule else ())), found, "exactly one of the two")
    for name, action in dicts(document, "actions").items():
        if action.get("type") == "webhook" and isinstance(action.get("url"), str):
            yield from _webhook(("actions", name, "url"), action["url"])


def _webhook(path: Path, url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:  # its text may repeat a part of a password
        yield Finding(path, "not an address", "https://host/path")
        return
    if parts.scheme not in ("http", "https") or not host:
        yield Finding(path, f"not an address of a web server (scheme {parts.scheme[:20]!r})", "https://host/path")
    if user:
        yield Finding(path, "credentials in the address", "an address without them, and `secret` to sign requests")
