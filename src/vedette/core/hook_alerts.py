"""From what a hook raised to the alert every receiver sees."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from vedette.contracts.alert import Alert
from vedette.contracts.hook_event import HookEvent


def hook_alert_id(device: str, event: HookEvent) -> str:
    """Names what happened: the same event has the same id, however often it is read from the journal.

    The first 32 hexadecimal digits of the SHA-256 of the UTF-8 JSON array ``["vedette-hook-alert-1", device,
    application, device's camera, hook, pipeline, camera whose picture was handled, ingest epoch, picture, key,
    number]``. For a timer the picture is empty, so its key alone tells one event from another.
    """
    what = (
        "vedette-hook-alert-1",
        device,
        event.application,
        event.camera,
        event.hook,
        event.pipeline,
        event.seen_by,
        event.epoch,
        event.frame_no,
        event.key,
        event.number,
    )
    text = json.dumps(what, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def make_hook_alert(device: str, event: HookEvent) -> Alert:
    """The alert of a hook's event; its ``rule`` is the hook's name.

    Picture number and epoch are given where the alert is about the camera whose picture was handled.

    Raises:
        ValueError: the event holds what no alert may hold.
    """
    own_picture = event.seen_by == event.camera
    try:
        time = datetime.fromtimestamp(event.wall_s, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{event.wall_s!r} is no time") from error
    return Alert.model_validate(
        {
            "alert_id": hook_alert_id(device, event),
            "device": device,
            "application": event.application,
            "camera": event.app_camera,
            "device_camera": event.camera,
            "rule": event.hook,
            "severity": event.severity,
            "time": time,
            "media_time_s": round(event.media_time_s, 3),
            "label": event.label,
            "track_ids": event.track_ids,
            "boxes": event.boxes,
            "confidence": event.confidence,
            "count": event.count,
            "epoch": event.epoch if own_picture else "",
            "frame_no": max(event.frame_no, 0) if own_picture else 0,
            "message": event.message,
        }
    )
