"""From an event to the alert every receiver sees."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from vedette.contracts import manifest
from vedette.contracts.alert import Alert, Box, Direction
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import MAX_OBJECTS, Event
from vedette.core.rules.clock import SLACK_S

_LONGEST_MESSAGE: Final = 400
_DIRECTIONS: Final = {
    Direction.LEFT_TO_RIGHT: "from left to right",
    Direction.RIGHT_TO_LEFT: "from right to left",
    Direction.TOP_TO_BOTTOM: "downwards",
    Direction.BOTTOM_TO_TOP: "upwards",
}


def alert_id(device: str, plan: RulePlan, event: Event) -> str:
    """Names what happened: the same event judged again has the same id, on any run and machine.

    The first 32 hexadecimal digits of the SHA-256 of the UTF-8 JSON array ``["vedette-alert-1", device, application,
    device's camera, rule, ingest epoch, picture, sorted track numbers, direction or null, count or null]``.
    """
    what = (
        "vedette-alert-1",
        device,
        plan.application,
        plan.camera,
        plan.name,
        event.moment.epoch,
        event.moment.frame_no,
        sorted(sighting.track_id for sighting in event.objects),
        None if event.direction is None else event.direction.value,
        event.count,
    )
    text = json.dumps(what, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def make_alert(device: str, plan: RulePlan, event: Event, held_back: int = 0) -> Alert:
    """The alert of an event.

    Args:
        device: IoT thing name.
        plan: the rule.
        event: what happened; all of its numbers finite (the machines see to it).
        held_back: alerts of the rule that the cool-down has suppressed since the last one.
    """
    objects = event.objects[:MAX_OBJECTS]
    label = _label(plan, event)
    return Alert(
        alert_id=alert_id(device, plan, event),
        device=device,
        application=plan.application,
        camera=plan.app_camera,
        device_camera=plan.camera,
        rule=plan.name,
        severity=plan.rule.severity,
        time=datetime.fromtimestamp(event.moment.wall_s, UTC),
        media_time_s=round(event.moment.media_time_s, 3),
        label=label,
        track_ids=tuple(sighting.track_id for sighting in objects),
        boxes=tuple(_rounded(sighting.box) for sighting in objects),
        confidence=round(min(max(0.0, *(s.score for s in objects)), 1.0), 3) if objects else None,
        count=event.count,
        direction=event.direction,
        distance_m=None if event.distance_m is None else round(event.distance_m, 2),
        duration_s=None if event.duration_s is None else round(max(event.duration_s, 0.0), 3),
        attributes=dict(objects[0].attributes) if objects else {},
        epoch=event.moment.epoch,
        frame_no=max(event.moment.frame_no, 0),
        message=_message(plan, event, label, held_back),
    )


def _rounded(box: Box) -> Box:
    return round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1)


def _label(plan: RulePlan, event: Event) -> str:
    """The only class the rule is about, else the most frequent one of the objects, else empty."""
    if plan.rule.labels is not None and len(plan.rule.labels) == 1:
        return plan.rule.labels[0]
    counts = Counter(sighting.label for sighting in event.objects)
    return min(counts, key=lambda label: (-counts[label], label), default="")


def _message(plan: RulePlan, event: Event, label: str, held_back: int) -> str:
    """One sentence for people."""
    rule = plan.rule
    who = f"{label or 'object'} {event.objects[0].track_id}" if event.objects else label or "object"
    where = f"on {plan.app_camera}" + ("" if plan.camera == plan.app_camera else f" ({plan.camera})")
    time = _duration(event.duration_s)
    match rule:
        case manifest.LineCrossed():
            text = f"{who} crossed the line {_DIRECTIONS[event.direction] if event.direction else ''} {where}"
        case manifest.ZoneEntered():
            text = f"{who} entered the zone {where}"
        case manifest.ZoneLeft():
            text = f"{who} left the zone {where}"
        case manifest.ZoneOccupied():
            text = f"the zone {where} has been occupied for {time}"
        case manifest.Dwell():
            text = f"{who} has been in the zone {where} for {time}"
        case manifest.Count():
            limit = f"above {rule.above}" if rule.above is not None else f"below {rule.below}"
            text = f"the number of {_plural(label)} {where} is {event.count}, {limit}, for {time}"
        case manifest.CountChanged():
            text = f"the number of {_plural(label)} {where} is now {event.count}"
        case manifest.Proximity():
            other = f"{event.objects[1].label} {event.objects[1].track_id}" if len(event.objects) > 1 else "object"
            text = f"{who} is {event.distance_m or 0:.1f} m from {other} {where}"
        case manifest.CodeRead():
            said = dict(event.objects[0].attributes).get(rule.attribute, "") if event.objects else ""
            text = f"code {said} ({label or 'code'}) was read {where}"
        case manifest.NothingSeen():
            text = f"no {label or 'object'} has been seen {where} for {time}"
    text = " ".join(text.split())
    head = f"{rule.title}: " if rule.title else ""
    tail = f" ({held_back} more within the cool-down)" if held_back else ""
    sentence = f"{head}{text}{tail}."
    sentence = sentence[0].upper() + sentence[1:]
    return sentence if len(sentence) <= _LONGEST_MESSAGE else sentence[: _LONGEST_MESSAGE - 1] + "…"


def _plural(label: str) -> str:
    return f"objects of class {label}" if label else "objects"


def _duration(seconds: float | None) -> str:
    value = seconds or 0.0
    return f"{value:.1f} s" if value < 60 else f"{math.floor(value / 60)} min {math.floor(value % 60)} s"


class Cooldown:
    """Silence after an alert of one rule on one camera.

    Args:
        cooldown_s: length of the silence; 0 is none.
    """

    def __init__(self, cooldown_s: float) -> None:
        self._cooldown_s = cooldown_s - SLACK_S
        self._last_s: float | None = None
        self._held_back = 0
        self.suppressed = 0

    def admit(self, elapsed_s: float) -> int | None:
        """Whether an alert may go out now.

        Args:
            elapsed_s: time on a clock that goes on over gaps.

        Returns:
            None where it is suppressed, else the number suppressed since the last one that went out.
        """
        if self._cooldown_s > 0.0 and self._last_s is not None and elapsed_s - self._last_s < self._cooldown_s:
            self._held_back += 1
            self.suppressed += 1
            return None
        self._last_s = elapsed_s
        held_back, self._held_back = self._held_back, 0
        return held_back

    def state(self) -> list[Any]:
        """Small JSON."""
        return [self._last_s, self._held_back, self.suppressed]

    def restore(self, state: list[Any]) -> None:
        """Go on from ``state()``."""
        last_s, held_back, suppressed = state
        self._last_s = None if last_s is None else float(last_s)
        self._held_back, self.suppressed = int(held_back), int(suppressed)
