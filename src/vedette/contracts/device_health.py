"""How a device is, as it tells the account each minute: states and totals; no picture, address or alert."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from vedette.contracts.base import Contract
from vedette.contracts.camera import CameraState

#: Nucleus lite takes messages of 10,000 bytes, and the payload travels as base64 inside JSON.
MAX_HEALTH_BYTES: Final = 7_000
MAX_CAMERAS: Final = 64
MAX_MODELS: Final = 32
MAX_PROBLEMS: Final = 16
MAX_TEXT: Final = 200

_Count = Annotated[int, Field(ge=0)]
_ShortText = Annotated[str, Field(max_length=MAX_TEXT)]
#: A name in a state file; cut where it is longer.
_Key = Annotated[str, Field(max_length=64)]


class ModelHealth(Contract):
    """One session of a model."""

    state: Annotated[str, Field(max_length=32, description="RUNNING, DEGRADED, RESTARTING, …")]
    code: Annotated[str, Field(max_length=8, description="Of the error, where there is one.")] = ""
    p50_ms: Annotated[float | None, Field(ge=0, description="Of an analysis, of the slowest camera.")] = None
    p99_ms: Annotated[float | None, Field(ge=0, description="Of an analysis, of the slowest camera.")] = None
    age_p99_ms: Annotated[
        float | None, Field(ge=0, description="Age of a picture when its objects were known, of the slowest camera.")
    ] = None


class AlertingDigest(Contract):
    """Of ``AlertingHealth``, what the account acts on."""

    durable: bool
    pending: Annotated[_Count, Field(description="Alerts that wait, of the receiver with the most.")]
    oldest_age_s: Annotated[float | None, Field(description="How long the oldest alert has waited, anywhere.")] = None
    volatile: _Count
    evicted: Annotated[_Count, Field(description="Alerts given up for the quota, ever.")]
    dead_letters: _Count
    outbox_bytes: _Count
    lag_s: Annotated[float, Field(ge=0)]
    not_analysed_s: Annotated[float, Field(ge=0)]
    unjudged: _Count
    reports_pending: _Count
    reports_dropped: _Count


class DiskHealth(Contract):
    """The file system of the state directory."""

    free_bytes: _Count
    total_bytes: Annotated[int, Field(ge=1)]

    @property
    def free_share(self) -> float:
        """0..1."""
        return self.free_bytes / self.total_bytes


class MemoryHealth(Contract):
    """Main memory."""

    available_bytes: _Count
    total_bytes: Annotated[int, Field(ge=1)]


class DeviceHealth(Contract):
    """Published to the account each minute. What does not fit is left out from the end and counted."""

    time: AwareDatetime
    device: str
    version: Annotated[str, Field(max_length=32, description="Of the components.")]
    alerting: AlertingDigest
    silent: Annotated[
        tuple[_Key, ...], Field(max_length=8, description="Components that have told nothing for too long.")
    ] = ()
    cameras: Annotated[
        dict[_Key, CameraState], Field(max_length=MAX_CAMERAS, description="Those that do not stream come first.")
    ] = Field(default_factory=dict)
    cameras_total: _Count = 0
    cameras_down: Annotated[_Count, Field(description="Cameras that ought to stream and do not.")] = 0
    models: Annotated[
        dict[_Key, ModelHealth], Field(max_length=MAX_MODELS, description="Those that do not run well come first.")
    ] = Field(default_factory=dict)
    models_total: _Count = 0
    disk: DiskHealth | None = None
    memory: MemoryHealth | None = None
    load: Annotated[float | None, Field(ge=0, description="Of one minute, per processor.")] = None
    temperature_c: Annotated[float | None, Field(description="Of the hottest sensor; absent where there is none.")] = (
        None
    )
    problems: Annotated[tuple[_ShortText, ...], Field(max_length=MAX_PROBLEMS)] = ()
