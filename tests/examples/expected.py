"""What an example must report, as checked by eye, and how alerts are compared with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vedette.contracts.alert import Alert

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(example: str) -> dict[str, Any]:
    """An example's ``expected.json``."""
    document: dict[str, Any] = json.loads((EXAMPLES / example / "expected.json").read_text())
    return document


def differences(expected: dict[str, Any], alerts: Iterable[Alert]) -> list[str]:
    """Every way in which the alerts are not the expected ones; empty where they are."""
    found: list[str] = []
    by_rule: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        by_rule.setdefault((alert.camera, alert.rule), []).append(alert)
    wanted = {(camera, rule): facts for camera, rules in expected["alerts"].items() for rule, facts in rules.items()}
    found += [f"{key}: nothing expected, {len(by_rule[key])} reported" for key in by_rule.keys() - wanted.keys()]
    for key, facts in wanted.items():
        got = sorted(by_rule.get(key, []), key=lambda alert: alert.media_time_s)
        found += [f"{key}: {text}" for text in _compare(facts, got, facts.get("tolerance_s", expected["tolerance_s"]))]
    return found


def _compare(facts: dict[str, Any], got: list[Alert], tolerance_s: float) -> Iterable[str]:
    times = [round(alert.media_time_s, 2) for alert in got]
    shift_s = facts.get("after_s", 0.0)
    count = len(facts.get("times_s") or facts["between_s"])
    if len(got) != count:
        yield f"expected {count} alerts, got {len(got)} at {times}"
        return
    for wanted_s, time_s in zip(facts.get("times_s", ()), times, strict=False):
        if abs(time_s - wanted_s - shift_s) > tolerance_s:
            yield f"expected at {wanted_s + shift_s:.2f} s ± {tolerance_s}, got {time_s:.2f}"
    for (from_s, to_s), time_s in zip(facts.get("between_s", ()), times, strict=False):
        if not from_s <= time_s <= to_s:
            yield f"expected between {from_s} and {to_s} s, got {time_s:.2f}"
    for name in ("direction", "count"):
        if name in facts:
            values = [getattr(alert, name) for alert in got]
            if [getattr(value, "value", value) for value in values] != facts[name]:
                yield f"expected {name} {facts[name]}, got {values}"
