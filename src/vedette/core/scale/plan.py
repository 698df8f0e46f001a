"""A fleet of a size beside the account's quotas. Pure."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from vedette.contracts.cost import CostInputs, PanoramaInputs
from vedette.contracts.fleet_metrics import metric_count
from vedette.contracts.scale import Fit, RolloutScale, ScaleInputs, ScalePlan, ScaleRow
from vedette.core.cost.estimate import ALARMS, estimate
from vedette.core.fleet.document import MAX_RATE
from vedette.core.scale.loads import Load, loads
from vedette.core.scale.quotas import LOOKED_UP, QUOTAS, Quota
from vedette.core.scale.rollout import rollout_scale

#: Devices of which it makes no difference any more where they reach a quota.
_NEVER: Final = 1e9


def scale_plan(inputs: ScaleInputs) -> ScalePlan:
    """Everything about a fleet of a size."""
    rows = [_row(load, QUOTAS[load.quota], inputs.devices) for load in loads(inputs)]
    rows.append(_row(_rate(), QUOTAS["iot_job_rate"], inputs.devices))
    cost = estimate(
        CostInputs(
            devices=inputs.devices,
            cameras=inputs.cameras,
            months=1,
            hardware="own",
            alerts_per_day=inputs.alerts_per_camera_day,
            insights=inputs.insights,
            release_mb=inputs.release_mb,
        ),
        PanoramaInputs(),
    ).vedette
    rollout: RolloutScale = rollout_scale(inputs)
    return ScalePlan(
        quotas_of=LOOKED_UP,
        inputs=inputs,
        rows=tuple(rows),
        rollout=rollout,
        metrics=metric_count(len(inputs.rings)),
        alarms=ALARMS,
        usd_per_camera_month=float(round(cost.usd / Decimal(inputs.devices * inputs.cameras), 4)),
        usd_unknown=cost.unknown,
    )


def _rate() -> Load:
    return Load("Greengrass", "devices told of a deployment", "a minute", "iot_job_rate", fixed=float(MAX_RATE))


def _row(load: Load, quota: Quota, devices: int) -> ScaleRow:
    value = load.value(devices)
    fit = _fit(value, quota)
    return ScaleRow(
        area=load.area,
        what=load.what,
        value=value,
        unit=load.unit,
        quota=quota.value,
        adjustable=None if quota.value is None else quota.adjustable,
        source=quota.source,
        share=None if quota.value is None else value / quota.value,
        fit=fit,
        advice=quota.advice if fit in (Fit.INCREASE, Fit.NO) else "",
        reached_at=_reached_at(load, quota),
    )


def _fit(value: float, quota: Quota) -> Fit:
    if quota.value is None:
        return Fit.UNKNOWN
    if value <= quota.value:
        return Fit.FITS
    return Fit.INCREASE if quota.adjustable else Fit.NO


def _reached_at(load: Load, quota: Quota) -> int | None:
    """The least number of devices at which a load is as large as its quota; None where it never is."""
    if quota.value is None or load.per_device <= 0:
        return None
    devices = (quota.value - load.fixed) / load.per_device
    return max(1, math.ceil(devices)) if devices < _NEVER else None
