"""Values that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vedette.core.manifest_checks.finding import Finding
from vedette.core.manifest_checks.plain import dicts, number


def check_values(document: dict[str, Any]) -> Iterator[Finding]:
    """Values of pipelines and rules that contradict each other."""
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
