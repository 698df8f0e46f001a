"""An alert as every receiver sees it, and what travels with it to the cloud."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from vedette.contracts.base import Confidence, Contract, Identifier

Pixels = Annotated[float, Field(allow_inf_nan=False)]
Box = tuple[Pixels, Pixels, Pixels, Pixels]


class Severity(StrEnum):
    """How urgent an alert is; the outbox never evicts ``critical``."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Direction(StrEnum):
    """How a line was crossed, as seen in the picture."""

    LEFT_TO_RIGHT = "left_to_right"
    RIGHT_TO_LEFT = "right_to_left"
    TOP_TO_BOTTOM = "top_to_bottom"
    BOTTOM_TO_TOP = "bottom_to_top"


class Alert(Contract):
    """One event, reported once."""

    alert_id: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{32}$",
            description="Hash of what happened: device, application, camera, rule, ingest epoch, picture, tracks.",
        ),
    ]
    device: Annotated[str, Field(description="IoT thing name of the device.")]
    application: Identifier
    camera: Annotated[Identifier, Field(description="The application's name of the camera.")]
    device_camera: Annotated[
        str,
        Field(max_length=64, description="The device's name of it; one name of the application may stand for several."),
    ] = ""
    rule: Identifier
    severity: Severity
    time: Annotated[AwareDatetime, Field(description="RFC 3339, of the picture, by the device's clock.")]
    media_time_s: Annotated[float, Field(description="Seconds into the stream or file.", allow_inf_nan=False)]
    label: Annotated[str, Field(description="Class of the object, or empty where the rule is about none.")]
    track_ids: Annotated[tuple[int, ...], Field(max_length=256)]
    boxes: Annotated[
        tuple[Box, ...],
        Field(max_length=256, description="x1, y1, x2, y2 in pixels of the original picture, one per track."),
    ]
    confidence: Annotated[Confidence | None, Field(description="Highest confidence of the objects.")] = None
    count: Annotated[int | None, Field(ge=0, description="Where the rule counts.")] = None
    direction: Annotated[Direction | None, Field(description="Where the rule is about a line.")] = None
    distance_m: Annotated[float | None, Field(ge=0, description="Where the rule is about a distance, metres.")] = None
    duration_s: Annotated[float | None, Field(ge=0, description="How long the condition had held.")] = None
    attributes: Annotated[
        dict[str, str],
        Field(max_length=16, description="What is known of the object, by all its pictures: property → value."),
    ] = Field(default_factory=dict)
    epoch: Annotated[str, Field(description="Ingest epoch: with `frame_no` it names the picture for ever.")] = ""
    frame_no: Annotated[int, Field(ge=0, description="Number of the picture within the epoch.")] = 0
    message: Annotated[str, Field(max_length=400, description="One sentence for people.")] = ""


class CloudAlert(Contract):
    """What is sent to IoT Core: the alert and its place in the device's outbox."""

    epoch: Annotated[str, Field(description="Outbox epoch: sequence numbers count within it.")]
    seq: Annotated[int, Field(ge=1)]
    alert_id: Annotated[str, Field(description="The alert's own, repeated where the ledger's condition needs it.")]
    alert: Alert


class CloudTombstone(Contract):
    """Says that rows of the outbox will never come, so that the ledger's sequence does not stall."""

    epoch: str
    from_seq: Annotated[int, Field(ge=1)]
    through_seq: Annotated[int, Field(ge=1)]
    tombstone: Annotated[str, Field(description="Why: evicted, refused.")]


class CloudAcknowledgement(Contract):
    """The ledger's answer: everything of the epoch up to and including ``through_seq`` is safe."""

    epoch: str
    through_seq: Annotated[int, Field(ge=0)]
