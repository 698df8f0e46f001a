"""A dashboard for each fleet."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.constructs.fleet_metric import fleet_metric
from infra.settings import Fleet
from vedette.contracts.account import METRIC_NAMESPACE
from vedette.contracts.fleet_metrics import FLEET, METRIC_OF, SWEEP_MINUTES, VERSION, Condition, FleetMetric

_HALF, _WHOLE = 12, 24


def fleet_dashboard(
    scope: Construct, fleet: Fleet, *, stage: str, alarms: Sequence[cloudwatch.IAlarm]
) -> cloudwatch.Dashboard:
    """Alarms, devices, what is wrong with how many, and whether a ring or a version is worse than the others."""
    name = fleet.name
    everything = [fleet_metric(FleetMetric.DEVICES, name), fleet_metric(FleetMetric.OFFLINE, name)]
    wrong = [fleet_metric(METRIC_OF[one], name) for one in Condition if one is not Condition.OFFLINE]
    rings = [fleet_metric(FleetMetric.UNWELL, name, ring=ring).with_(label=f"ring {ring}") for ring in fleet.rings]
    search = (
        f'SEARCH(\'{{{METRIC_NAMESPACE},{FLEET},{VERSION}}} MetricName="{FleetMetric.UNWELL.value}" '
        f"{FLEET}=\"{name}\"', 'Maximum')"
    )
    versions = cloudwatch.MathExpression(
        expression=search, using_metrics={}, label="version", period=Duration.minutes(SWEEP_MINUTES)
    )
    board = cloudwatch.Dashboard(
        scope, f"{name.title().replace('-', '')}Dashboard", dashboard_name=f"vedette-{stage}-{name}"
    )
    board.add_widgets(cloudwatch.AlarmStatusWidget(title=f"Fleet {name}", alarms=list(alarms), width=_WHOLE))
    board.add_widgets(
        cloudwatch.GraphWidget(title="Devices", left=everything, width=_HALF),
        cloudwatch.GraphWidget(title="What is wrong with them", left=wrong, width=_HALF),
    )
    board.add_widgets(
        cloudwatch.GraphWidget(title="Unwell, by ring", left=rings, width=_HALF),
        cloudwatch.GraphWidget(title="Unwell, by version", left=[versions], width=_HALF),
    )
    return board
