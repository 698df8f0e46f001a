"""A camera's configuration and its states."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from vedette.contracts.base import CameraName, Contract, Identifier, Seconds


class CameraState(StrEnum):
    """Where a camera stands. The transitions allowed are ``TRANSITIONS``."""

    DISABLED = "DISABLED"
    CONNECTING = "CONNECTING"
    STREAMING = "STREAMING"
    STALLED = "STALLED"
    UNREACHABLE = "UNREACHABLE"
    UNAUTHORIZED = "UNAUTHORIZED"
    NO_KEYFRAME = "NO_KEYFRAME"
    UNSUPPORTED = "UNSUPPORTED"
    ENDED = "ENDED"


_S = CameraState
_DOWN: Final = frozenset({_S.STALLED, _S.UNREACHABLE, _S.UNAUTHORIZED, _S.UNSUPPORTED, _S.ENDED, _S.DISABLED})
TRANSITIONS: Final[dict[CameraState, frozenset[CameraState]]] = {
    _S.DISABLED: frozenset({_S.CONNECTING}),
    _S.CONNECTING: _DOWN | {_S.STREAMING, _S.NO_KEYFRAME},
    _S.STREAMING: _DOWN | {_S.CONNECTING, _S.NO_KEYFRAME},
    _S.STALLED: _DOWN | {_S.CONNECTING},
    _S.UNREACHABLE: _DOWN | {_S.CONNECTING},
    _S.UNAUTHORIZED: _DOWN | {_S.CONNECTING},
    _S.NO_KEYFRAME: _DOWN | {_S.CONNECTING, _S.STREAMING},
    _S.UNSUPPORTED: _DOWN | {_S.CONNECTING},
    _S.ENDED: _DOWN | {_S.CONNECTING},
}


class Transport(StrEnum):
    """How RTP travels. ``auto`` asks for TCP and is what most sites want."""

    AUTO = "auto"
    TCP = "tcp"
    UDP = "udp"


class Decoder(StrEnum):
    """What decodes H.264 and H.265. ``auto`` is GStreamer where it has the hardware's decoder, else FFmpeg."""

    FFMPEG = "ffmpeg"
    AUTO = "auto"
    GSTREAMER = "gstreamer"


class PictureHealth(StrEnum):
    """What is wrong with a picture that arrives in time."""

    GOOD = "good"
    FROZEN = "frozen"
    BLACK = "black"
    COVERED = "covered"
    MOVED = "moved"


class CameraSettings(Contract):
    """How one camera of a device is reached and used."""

    url: Annotated[
        str,
        Field(
            description="rtsp:// or rtsps:// address, a file, or v4l2:///dev/videoN. Credentials do not belong here "
            "but in `secret`."
        ),
    ]
    sub_url: Annotated[str | None, Field(description="The camera's small stream, used for analysis.")] = None
    secret: Annotated[
        str | None, Field(description="Name of a secret with `username` and `password` (Secrets Manager).")
    ] = None
    transport: Transport = Transport.AUTO
    decoder: Annotated[
        Decoder,
        Field(
            description="What decodes H.264 and H.265: `ffmpeg` on the processor; `auto` a Jetson's hardware where "
            "GStreamer has its decoder, else FFmpeg; `gstreamer` requires GStreamer."
        ),
    ] = Decoder.FFMPEG
    enabled: bool = True
    loop: Annotated[bool, Field(description="Files only: start again at the end.")] = False
    max_fps: Annotated[
        float | None, Field(gt=0, le=120, description="Never analyse more pictures a second than this.")
    ] = None
    pre_roll_s: Annotated[Seconds, Field(le=60, description="Packets kept for evidence clips.")] = 0.0


class CameraConfig(CameraSettings):
    """One camera of a device, as the operator binds it."""

    name: CameraName


class HealthReport(Contract):
    """What the picture itself says."""

    state: PictureHealth = PictureHealth.GOOD
    since_wall_s: float = 0.0
    detail: str = ""


class CameraStatus(Contract):
    """State of one camera, published once a second and at each change. Holds no credentials."""

    camera: Identifier
    state: CameraState
    reason: Annotated[str, Field(description="For people: what is wrong and what to check.")] = ""
    error: Annotated[str, Field(description="Error code, where one applies.")] = ""
    since_wall_s: float = 0.0
    source: Annotated[str, Field(description="Address without credentials.")] = ""
    codec: str = ""
    decoder: Annotated[str, Field(description="`ffmpeg`, or the GStreamer element that decodes.")] = ""
    width: int = 0
    height: int = 0
    stream_fps: float = 0.0
    published_fps: float = 0.0
    frames_decoded: int = 0
    frames_published: int = 0
    frames_corrupt: int = 0
    reconnects: int = 0
    restarts: Annotated[int, Field(description="Times the camera's process was replaced.")] = 0
    last_frame_age_s: float | None = None
    health: HealthReport = HealthReport()
