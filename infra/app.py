"""The CDK's entry: settings in, stacks out. It composes and does nothing else."""

from __future__ import annotations

import sys

from aws_cdk import App, Tags

from infra.settings import CONTEXT_KEY, Settings, read_settings
from infra.stacks.alerts import AlertsStack
from infra.stacks.deployments import DeploymentsStack
from infra.stacks.fleet import FleetStack
from infra.stacks.models import ModelsStack
from infra.stacks.monitoring import MonitoringStack
from infra.stacks.network import NetworkStack
from infra.stacks.storage import StorageStack
from vedette.contracts.account import stack
from vedette.contracts.errors import VedetteError


def build(app: App, settings: Settings) -> None:
    """All stacks of a stage, in an app that knows neither account nor region."""
    storage = StorageStack(app, stack(settings.stage, "storage"), settings=settings)
    fleet = FleetStack(app, stack(settings.stage, "fleet"), settings=settings, storage=storage)
    alerts = AlertsStack(app, stack(settings.stage, "alerts"), settings=settings, storage=storage, fleet=fleet)
    monitoring = MonitoringStack(
        app, stack(settings.stage, "monitoring"), settings=settings, storage=storage, fleet=fleet, alerts=alerts
    )
    ModelsStack(app, stack(settings.stage, "models"), settings=settings, storage=storage, bus=alerts.bus)
    DeploymentsStack(
        app,
        stack(settings.stage, "deployments"),
        settings=settings,
        storage=storage,
        fleet=fleet,
        bus=alerts.bus,
        counts=monitoring.counts,
    )
    if settings.network is not None:
        name = stack(settings.stage, "network")
        NetworkStack(app, name, settings=settings, network=settings.network, storage=storage)
    Tags.of(app).add("application", "vedette")
    Tags.of(app).add("stage", settings.stage)


def main() -> int:
    """Synthesise."""
    app = App(analytics_reporting=False)
    try:
        build(app, read_settings(app.node.try_get_context(CONTEXT_KEY)))
    except VedetteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
