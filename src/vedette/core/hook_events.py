"""From what a hook's process answered to events for the journal. The answer is believed nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vedette.contracts.alert import Box
from vedette.contracts.frames import FrameInfo
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.hook_messages import RaisedMessage
from vedette.contracts.plan import HookPlan
from vedette.contracts.tracks import TrackBatch

_NO_PICTURE: Final = FrameInfo("", "", 0, 0.0, 0.0, 0.0, 0, 0)


@dataclass(frozen=True, slots=True)
class Cause:
    """What was handled when alerts were raised.

    Attributes:
        wall_s: Unix time of it.
        frame: the picture; none for timers.
        batch: the batch; none for pictures and timers.
    """

    wall_s: float
    frame: FrameInfo | None = None
    batch: TrackBatch | None = None

    @classmethod
    def of(cls, batch: TrackBatch) -> Cause:
        """A batch."""
        return cls(batch.frame.wall_s, batch.frame, batch)


def make_event(
    hook: HookPlan, channels: tuple[str, ...], raised: RaisedMessage, cause: Cause, now_wall_s: float
) -> HookEvent:
    """The event of one alert. Boxes and labels come from the batch that was sent, not from the answer.

    Raises:
        ValueError: it names a camera or an object that it was not told of, or lacks a key where it needs one.
    """
    app_camera = next((one.app_camera for one in hook.cameras if one.camera == raised.camera), None)
    if app_camera is None:
        raise ValueError(f"an alert about camera {raised.camera[:64]!r}, which is not the application's")
    if cause.frame is None and not raised.key:
        raise ValueError("an alert of a timer without a key")
    objects = _objects(cause.batch)
    unknown = [track_id for track_id in raised.track_ids if track_id not in objects]
    if unknown:
        raise ValueError(f"an alert about object {unknown[0]}, which is not in the batch")
    named = [objects[track_id] for track_id in raised.track_ids]
    labels = {label for _, label, _ in named}
    frame = cause.frame or _NO_PICTURE
    return HookEvent(
        application=hook.application,
        hook=hook.name,
        camera=raised.camera,
        app_camera=app_camera,
        severity=raised.severity or hook.severity.value,
        message=raised.message,
        channels=channels,
        key=raised.key,
        number=raised.number,
        pipeline=cause.batch.pipeline if cause.batch is not None else "",
        seen_by=frame.camera,
        epoch=frame.epoch,
        frame_no=frame.frame_no,
        wall_s=cause.wall_s,
        media_time_s=frame.media_time_s,
        t_s=cause.frame.t_s if cause.frame is not None else None,
        label=labels.pop() if len(labels) == 1 else "",
        track_ids=raised.track_ids,
        boxes=tuple(box for box, _, _ in named),
        confidence=max((score for _, _, score in named), default=None),
        count=raised.count,
        at=now_wall_s,
    )


def _objects(batch: TrackBatch | None) -> dict[int, tuple[Box, str, float]]:
    if batch is None:
        return {}
    rows = zip(batch.track_ids, batch.boxes, batch.labels, batch.scores, strict=True)
    return {track_id: (box, label, min(max(score, 0.0), 1.0)) for track_id, box, label, score in rows}
