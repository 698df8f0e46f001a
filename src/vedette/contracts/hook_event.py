"""A hook event: what an application's own code raised, in the journal until Alerting makes an alert of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from vedette.contracts.errors import StorageError

HOOK_EVENT_VERSION: Final = 1
#: ``kind`` of such a row; track batches have none.
HOOK_EVENT_KIND: Final = "hook"


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One call of ``app.alert`` that was kept together with the state of the hook that made it.

    Attributes:
        application: whose code it was.
        hook: name of the hook in the manifest.
        camera: the device's name of the camera the alert is about.
        app_camera: the application's own name of it.
        severity: value of ``Severity``.
        message: one sentence for people, at most 200 characters.
        channels: whom it is for. They stand here because the event is raised by one process and delivered by another,
            whose plan may be older or newer by then.
        key: what the author calls the event; empty where the picture names it well enough.
        number: how many alerts without a key the same call had raised before.
        pipeline: ``<application>/<pipeline>`` of the track batch that was handled; empty for pictures and timers.
        seen_by: the device's name of the camera whose picture was handled; empty for timers.
        epoch: ingest epoch of that picture; empty for timers.
        frame_no: number of that picture within the epoch.
        wall_s: Unix time of the picture or the timer.
        media_time_s: seconds into the stream; 0 for timers.
        t_s: monotonic time of the picture, as in ``FrameInfo``; None for timers.
        label: class of the objects named, where they are of one class.
        track_ids: the objects named.
        boxes: one ``(x1, y1, x2, y2)`` per object, pixels of the original picture.
        confidence: highest of the objects', 0..1; None where none is named.
        count: a number the author wants to report.
        at: Unix time at which the event was kept.
    """

    application: str
    hook: str
    camera: str
    app_camera: str
    severity: str
    message: str
    channels: tuple[str, ...]
    key: str = ""
    number: int = 0
    pipeline: str = ""
    seen_by: str = ""
    epoch: str = ""
    frame_no: int = 0
    wall_s: float = 0.0
    media_time_s: float = 0.0
    t_s: float | None = None
    label: str = ""
    track_ids: tuple[int, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    confidence: float | None = None
    count: int | None = None
    at: float = 0.0

    def to_json(self) -> bytes:
        """The event as one line of compact JSON.

        Raises:
            ValueError: it holds a number JSON has none for, such as NaN.
        """
        document = {"kind": HOOK_EVENT_KIND, "v": HOOK_EVENT_VERSION, **asdict(self)}
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, payload: bytes) -> HookEvent:
        """Read what ``to_json`` wrote.

        Raises:
            StorageError: V402, the row is not a hook event of a version this release reads.
        """
        try:
            document: dict[str, Any] = json.loads(payload)
            kind, version = document.pop("kind"), document.pop("v")
            if (kind, version) != (HOOK_EVENT_KIND, HOOK_EVENT_VERSION):
                raise StorageError(
                    f"journal row has kind {kind!r}, version {version!r}; this release reads hook events of version "
                    f"{HOOK_EVENT_VERSION}.",
                    code="V402",
                )
            boxes = tuple((b[0], b[1], b[2], b[3]) for b in document.pop("boxes"))
            channels = tuple(str(channel) for channel in document.pop("channels"))
            return cls(**document | {"boxes": boxes, "track_ids": tuple(document["track_ids"])}, channels=channels)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise StorageError(f"journal row is not a hook event: {error}", code="V402") from error
