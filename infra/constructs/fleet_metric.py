"""Metrics that the sweep counts, as stacks see them."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from vedette.contracts.account import METRIC_NAMESPACE
from vedette.contracts.fleet_metrics import FLEET, RING, SWEEP_MINUTES, FleetMetric


def fleet_metric(
    metric: FleetMetric, fleet: str, *, ring: str | None = None, statistic: str = "Maximum"
) -> cloudwatch.Metric:
    """Of a whole fleet, or of one ring."""
    dimensions = {FLEET: fleet} if ring is None else {FLEET: fleet, RING: ring}
    return cloudwatch.Metric(
        namespace=METRIC_NAMESPACE,
        metric_name=metric.value,
        dimensions_map=dimensions,
        statistic=statistic,
        period=Duration.minutes(SWEEP_MINUTES),
    )
