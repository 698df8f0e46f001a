"""How the devices are: their states in the table of devices, metrics by fleet, alarms, dashboards."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.fleet_alarms import fleet_alarms
from infra.constructs.fleet_dashboard import fleet_dashboard
from infra.constructs.function import FunctionProps, VedetteFunction, publish
from infra.constructs.grants import allow, allow_table, feed
from infra.constructs.queue import QueueProps, ReliableQueue
from infra.constructs.reasons import accept
from infra.constructs.rule import DeviceRule, RuleProps, device_sql
from infra.constructs.schedule import send_to_queue
from infra.settings import Settings
from infra.stacks.alerts import AlertsStack
from infra.stacks.fleet import FleetStack
from infra.stacks.storage import StorageStack
from vedette.contracts import topics
from vedette.contracts.account import BY_FLEET, METRIC_NAMESPACE, event_bus
from vedette.contracts.fleet_metrics import COUNT_MINUTES, SWEEP_MINUTES
from vedette.contracts.functions import DeviceStateSettings, FunctionSettings, SweepSettings, fleets_text

#: Beginnings and ends of connections; AWS IoT publishes them without being asked.
_PRESENCE: Final = "SELECT * FROM '$aws/events/presence/+/+'"
_RULE_PRESENCE: Final = "vedette_presence"
#: A sweep reads every device: some thousand a second.
_SWEEP_S: Final = 120


class MonitoringStack(Stack):
    """What watches over the devices.

    Attributes:
        counts: queue in which a count of the devices is asked for.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        fleet: FleetStack,
        alerts: AlertsStack,
    ) -> None:
        super().__init__(
            scope, construct_id, stack_name=construct_id, description="Vedette: states of devices, alarms, dashboards"
        )
        self._settings = settings
        self._storage = storage
        self._fleet = fleet
        self._alerts = alerts
        for name, what, rule, sql in (
            ("Health", "states of devices", topics.RULE_HEALTH, device_sql("health")),
            ("Presence", "connections of devices", _RULE_PRESENCE, _PRESENCE),
        ):
            queue = self._queue(name, what)
            props = RuleProps(name=rule, sql=sql, what=what, queue=queue, key=storage.keys.messages)
            DeviceRule(self, f"{name}Rule", props)
            self._state_function(name, what, queue)
        self._sweep()
        dashboards = {}
        for one in settings.fleets:
            alarms = fleet_alarms(self, one, settings=settings, operators=storage.operators)
            board = fleet_dashboard(self, one, stage=settings.stage, alarms=alarms)
            dashboards[f"dashboard-{one.name}"] = board.dashboard_name
        publish(self, settings, dashboards)

    def _queue(self, name: str, what: str, timeout_s: int = 30) -> ReliableQueue:
        return ReliableQueue(
            self,
            f"{name}Queue",
            QueueProps(
                settings=self._settings,
                key=self._storage.keys.messages,
                operators=self._storage.operators,
                what=what,
                visibility_s=6 * timeout_s,
            ),
        )

    def _function(
        self, name: str, what: str, environment: FunctionSettings, *, timeout_s: int = 30, memory_mb: int = 256
    ) -> VedetteFunction:
        return VedetteFunction(
            self,
            f"{name}Function",
            FunctionProps(
                settings=self._settings,
                log_key=self._storage.keys.logs,
                folder=name.lower(),
                environment=environment,
                description=what.capitalize(),
                timeout_s=timeout_s,
                memory_mb=memory_mb,
            ),
        )

    def _state_function(self, name: str, what: str, queue: ReliableQueue) -> None:
        devices = self._fleet.devices
        environment = DeviceStateSettings(
            stage=self._settings.stage,
            devices_table=devices.table_name,
            event_bus=event_bus(self._settings.stage),
        )
        made = self._function(name, what, environment)
        feed(made, queue)
        allow_table(made.role, devices, self._storage.keys.tables, "GetItem", "UpdateItem")
        allow(made.role, ["events:PutEvents"], [self._alerts.bus.event_bus_arn])

    def _sweep(self) -> None:
        """Two clocks that put orders into a queue: a round that fails is repeated, then set aside and told of."""
        queue = self._queue("Sweep", "rounds that count the devices", _SWEEP_S)
        schedule = events.Rule(
            self,
            "SweepSchedule",
            description="Counts the devices",
            schedule=events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)),
        )
        send_to_queue(schedule, queue)
        often = events.Rule(
            self,
            "CountSchedule",
            description="Counts the devices for rollouts",
            schedule=events.Schedule.rate(Duration.minutes(COUNT_MINUTES)),
        )
        send_to_queue(often, queue, events.RuleTargetInput.from_object({"count": "*"}))
        self.counts = queue.queue
        devices = self._fleet.devices
        environment = SweepSettings(
            stage=self._settings.stage,
            devices_table=devices.table_name,
            devices_index=BY_FLEET,
            rings_table=self._fleet.ring_counts.table_name,
            fleets=fleets_text({one.name: one.rings for one in self._settings.fleets}),
        )
        made = self._function("Sweep", "counts the devices", environment, timeout_s=_SWEEP_S, memory_mb=512)
        feed(made, queue)
        allow_table(made.role, devices, self._storage.keys.tables, "Query", index=BY_FLEET)
        allow_table(made.role, self._fleet.ring_counts, self._storage.keys.tables, "PutItem")
        made.role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                # Metrics are no resources: the namespace is all that AWS can limit this to.
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}},
            )
        )
        accept(
            made,
            {
                "AwsSolutions-IAM5[Resource::*]": "cloudwatch:PutMetricData knows no resources; "
                "it is limited to the project's own namespace by a condition."
            },
        )
