"""``evidence.json``: what a device kept, or is about to keep, of one alert. The only contract of such folders."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from vedette.contracts.alert import Alert
from vedette.contracts.base import Contract, Identifier, Seconds
from vedette.contracts.manifest.evidence import Evidence
from vedette.contracts.privacy import Privacy

#: The record within an alert's folder, and the files it may name.
RECORD: Final = "evidence.json"
SNAPSHOT_FILE: Final = "snapshot.jpg"
CLIP_FILE: Final = "clip.mp4"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file.")]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Beside the record.")]


class EvidenceState(StrEnum):
    """Whether there is still something to be made."""

    PENDING = "pending"
    MADE = "made"


class Snapshot(Contract):
    """The alert's picture."""

    file: FileName
    bytes: Annotated[int, Field(ge=0)]
    sha256: Digest
    width: Annotated[int, Field(ge=1, description="Of the picture without the words below it, pixels.")]
    height: Annotated[int, Field(ge=1)]
    media_time_s: Annotated[float, Field(allow_inf_nan=False, description="Of the picture, as in the alert.")]


class Clip(Contract):
    """The video around the alert."""

    file: FileName
    bytes: Annotated[int, Field(ge=0)]
    sha256: Digest
    codec: Annotated[str, Field(description="FFmpeg's name, such as `h264`.")]
    reencoded: Annotated[bool, Field(description="False: the camera's own packets.")]
    duration_s: Seconds
    alert_s: Annotated[float, Field(allow_inf_nan=False, description="Of the alert's picture, seconds into the file.")]
    pre_roll_s: Annotated[Seconds, Field(description="Video before the alert's picture.")]
    pictures: Annotated[int, Field(ge=0)]
    covered_s: Annotated[Seconds, Field(description="Time in which the whole picture is filled for privacy.")] = 0.0


class Shortfall(Contract):
    """Something that was asked for and is not there, or not whole."""

    what: Annotated[str, Field(description="`snapshot`, `clip`, `upload`, or what is missing of one.")] = ""
    why: Annotated[str, Field(max_length=600, description="For people.")]
    code: Annotated[str, Field(description="Error code, where one applies.")] = ""


class Upload(Contract):
    """A copy of one file in the owner's bucket."""

    file: FileName
    bucket: str
    region: str = ""
    key: str
    time: AwareDatetime


class EvidenceRecord(Contract):
    """Everything about one alert's evidence."""

    version: Annotated[int, Field(ge=1)] = 1
    state: EvidenceState = EvidenceState.MADE
    alert: Alert
    camera: Annotated[Identifier, Field(description="The device's camera.")]
    asked: Annotated[Evidence, Field(description="What the application asked for at the time.")]
    asked_at: Annotated[AwareDatetime, Field(description="When the alert was handed over to be illustrated.")]
    made: Annotated[AwareDatetime | None, Field(description="When this was finished; absent while it is pending.")] = (
        None
    )
    privacy: Annotated[Privacy, Field(description="What pictures may show: the stricter of application and device.")]
    snapshot: Snapshot | None = None
    clip: Clip | None = None
    uploads: tuple[Upload, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
