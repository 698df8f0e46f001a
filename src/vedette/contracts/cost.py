"""An estimate of costs: what it is worked out from, and its items."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from vedette.contracts.base import Contract

Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]


class CostInputs(Contract):
    """A fleet and how it is used."""

    devices: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    cameras: Annotated[int, Field(ge=1, le=1_000, description="Per device.")] = 5
    months: Annotated[int, Field(ge=1, le=240)] = 36
    hardware: Literal["orin-nano", "agx-orin", "orin-nx", "own"] = "orin-nano"
    hardware_usd: Annotated[Usd | None, Field(description="Price of a device; that of the table where absent.")] = None
    alerts_per_day: Annotated[float, Field(ge=0, le=100_000, description="Per camera.")] = 20.0
    insights: Annotated[int, Field(ge=0, le=64, description="Streams of figures per camera, one report a minute.")] = 0
    emails: Annotated[_Share, Field(description="Share of the alerts that become an e-mail.")] = 0.1
    sms: Annotated[_Share, Field(description="Share of the alerts that become a short message.")] = 0.0
    evidence_mb: Annotated[
        float, Field(ge=0, le=1_000, description="Pictures and clips sent to S3 for an alert; none by default.")
    ] = 0.0
    evidence_days: Annotated[int, Field(ge=1, le=3_650, description="They are kept in S3 for so long.")] = 30
    logs_mb_per_day: Annotated[float, Field(ge=0, le=100_000, description="Per device.")] = 2.0
    releases_per_year: Annotated[int, Field(ge=0, le=1_000, description="Applications or models rolled out.")] = 12
    release_mb: Annotated[float, Field(ge=0, le=10_000, description="Loaded by each device at a release.")] = 50.0
    compilations_per_year: Annotated[int, Field(ge=0, le=10_000, description="SageMaker Neo jobs.")] = 0
    private_network: Annotated[
        bool, Field(description="Interface endpoints instead of public ones, for VPN or Direct Connect.")
    ] = False
    zones: Annotated[int, Field(ge=1, le=6, description="Availability zones of the private network.")] = 2


class PanoramaInputs(Contract):
    """What AWS Panorama charged, until 31 May 2026."""

    appliance_usd: Usd = Decimal(4000)
    stream_usd: Annotated[Usd, Field(description="Per camera stream and month.")] = Decimal("8.33")
    storage_gb: Annotated[Decimal, Field(ge=0, le=1_000_000, description="In all.")] = Decimal("0.2")
    storage_usd: Annotated[Usd, Field(description="Per GB and month.")] = Decimal("0.10")


class CostLine(Contract):
    """One item: quantity × unit price."""

    group: str
    item: str
    quantity: Decimal
    unit: str
    unit_usd: Annotated[Usd | None, Field(description="Absent where it is unknown.")] = None
    usd: Annotated[Usd | None, Field(description="Absent where it is unknown.")] = None
    note: str = ""


class CostTotal(Contract):
    """Items and their sum."""

    lines: tuple[CostLine, ...]
    usd: Annotated[Usd, Field(description="Sum of the items with a known price, in cents.")]
    unknown: Annotated[tuple[str, ...], Field(description="Items that the sum lacks.")] = ()


class CostEstimate(Contract):
    """A fleet's cost beside what AWS Panorama charged for as many appliances and streams."""

    prices_of: Annotated[str, Field(description="Date of the table of prices.")]
    currency: Literal["USD"] = "USD"
    inputs: CostInputs
    vedette: CostTotal
    panorama_inputs: PanoramaInputs
    panorama: CostTotal
