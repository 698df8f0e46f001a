"""A fleet of a size: what it asks of the account, beside the account's quotas."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from vedette.contracts.account import RINGS, ShortName
from vedette.contracts.base import Contract


class ScaleInputs(Contract):
    """A fleet and how it is used."""

    devices: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    cameras: Annotated[int, Field(ge=1, le=1_000, description="Per device.")] = 8
    rings: Annotated[
        dict[ShortName, Annotated[float, Field(gt=0, le=1)]],
        Field(min_length=1, max_length=20, description="Ring → share of the devices, in the order of a rollout."),
    ] = Field(default_factory=lambda: dict(zip(RINGS, (0.01, 0.09, 0.9), strict=True)))
    analysed_fps: Annotated[float, Field(gt=0, le=120, description="Pictures a second and camera.")] = 5.0
    alerts_per_camera_day: Annotated[float, Field(ge=0, le=100_000)] = 20.0
    insights: Annotated[int, Field(ge=0, le=64, description="Figures of each camera, reported once a minute.")] = 0
    release_mb: Annotated[float, Field(ge=0, le=10_000, description="Loaded by each device at a rollout.")] = 50.0
    outage_devices: Annotated[float, Field(gt=0, le=1, description="Share of the devices that is back at once.")] = 1.0

    @model_validator(mode="after")
    def _whole(self) -> ScaleInputs:
        total = sum(self.rings.values())
        if abs(total - 1) > 0.001:
            raise ValueError(f"the shares of the rings are {total:g} together and must be 1")
        return self


class Fit(StrEnum):
    """How a load and its quota go together."""

    FITS = "fits"
    INCREASE = "needs an increase"
    NO = "does not fit"
    UNKNOWN = "quota unknown"


class ScaleRow(Contract):
    """One load beside its quota."""

    area: str
    what: str
    value: Annotated[float, Field(ge=0)]
    unit: str
    quota: Annotated[float | None, Field(description="Absent where no source was found.")] = None
    adjustable: bool | None = None
    source: Annotated[str, Field(description="Of the quota, with its date.")] = ""
    share: Annotated[float | None, Field(description="Value by quota.")] = None
    fit: Fit
    advice: str = ""
    reached_at: Annotated[int | None, Field(description="Devices at which the quota is reached; never where null.")] = (
        None
    )


class RingTime(Contract):
    """One ring's part in a rollout, where all goes well."""

    ring: str
    devices: int
    told_after_s: Annotated[float, Field(description="Until the last device has been told, by the job's rates.")]
    passed_after_s: Annotated[float, Field(description="Until the gate passes, at the earliest.")]
    checks: Annotated[int, Field(description="Of the gate.")]
    fits_limit: Annotated[bool, Field(description="Whether the gate's default time limit is longer.")]


class RolloutScale(Contract):
    """A rollout by calculation."""

    rings: tuple[RingTime, ...]
    seconds: float
    calls_per_check: Annotated[int, Field(description="Requests to AWS by one check, whatever the size of the ring.")]
    calls: Annotated[int, Field(description="Requests to AWS by the whole rollout.")]
    artefact_gb: float


class ScalePlan(Contract):
    """Everything about a fleet of a size."""

    quotas_of: Annotated[str, Field(description="When the quotas were looked up.")]
    inputs: ScaleInputs
    rows: tuple[ScaleRow, ...]
    rollout: RolloutScale
    metrics: int
    alarms: int
    usd_per_camera_month: Annotated[float, Field(description="The account alone, without devices.")]
    usd_unknown: Annotated[tuple[str, ...], Field(description="Items that the price lacks.")] = ()
