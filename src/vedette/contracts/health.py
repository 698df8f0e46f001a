"""How the alerting side of a device is: totals only, no alert, no camera picture, no address."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from vedette.contracts.base import Contract


class ReceiverHealth(Contract):
    """One receiver of alerts."""

    pending: Annotated[int, Field(ge=0, description="Alerts that wait for it.")]
    oldest_age_s: Annotated[float | None, Field(description="How long the oldest has waited.")] = None
    delivered: Annotated[int, Field(ge=0, description="Since the process started.")] = 0
    failures: Annotated[int, Field(ge=0, description="Attempts that failed in a row.")] = 0
    problem: Annotated[str, Field(max_length=400, description="The last failure, for people.")] = ""


class AlertingHealth(Contract):
    """Published on the device every two seconds; the account gets a digest of it in ``DeviceHealth``."""

    time: AwareDatetime
    device: str
    judged: Annotated[int, Field(ge=0, description="Track batches since the process started.")]
    alerts: Annotated[int, Field(ge=0, description="Alerts since the process started.")]
    lag_s: Annotated[float, Field(ge=0, description="From the end of a picture's analysis to its judging, last.")]
    durable: Annotated[bool, Field(description="False while new alerts are in memory only, because the disk refuses.")]
    volatile: Annotated[int, Field(ge=0, description="Alerts in memory only.")]
    receivers: dict[str, ReceiverHealth]
    evicted: Annotated[dict[str, int], Field(description="Alerts given up for the quota, by severity, ever.")]
    dead_letters: Annotated[int, Field(ge=0, description="Alerts receivers refused for good, ever.")]
    salvaged: Annotated[int, Field(ge=0, description="Alerts read out of a damaged outbox, ever.")]
    not_analysed_s: Annotated[float, Field(ge=0, description="Seconds of cameras nobody analysed, ever.")]
    unjudged: Annotated[int, Field(ge=0, description="Batches the journal's size limit took before they were judged.")]
    unread_by_hooks: Annotated[
        dict[str, int],
        Field(description="For each hook, batches the journal's size limit took before the hook had them."),
    ] = Field(default_factory=dict)
    outbox_bytes: Annotated[int, Field(ge=0)]
    reports_sent: Annotated[int, Field(ge=0, description="Reports of insights, since the process started.")] = 0
    reports_pending: Annotated[int, Field(ge=0, description="Reports of insights that wait.")] = 0
    reports_problem: Annotated[str, Field(max_length=400, description="Why they do not get through now.")] = ""
    reports_dropped: Annotated[
        int, Field(ge=0, description="Reports of insights given up for their age or for room, ever.")
    ] = 0
    problems: Annotated[tuple[str, ...], Field(description="For people: what is wrong now, and what was damaged.")] = ()
