"""Alerts and insights: from the devices' topics into the ledger, to people, into the archive, back to the device."""

from __future__ import annotations

from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_glue as glue
from constructs import Construct

from infra.constructs.analysis import analysis
from infra.constructs.archive import Archive, ArchiveProps
from infra.constructs.function import FunctionProps, VedetteFunction, publish
from infra.constructs.grants import allow, allow_table, feed
from infra.constructs.queue import QueueProps, ReliableQueue
from infra.constructs.reasons import accept
from infra.constructs.rule import DeviceRule, RuleProps, device_sql
from infra.constructs.subscribers import AlertTopics
from infra.constructs.table import table
from infra.settings import Settings
from infra.stacks.fleet import FleetStack
from infra.stacks.storage import StorageStack
from vedette.contracts import archive, topics
from vedette.contracts.account import event_bus
from vedette.contracts.alert import Severity
from vedette.contracts.functions import InsightsSettings, LedgerSettings

#: Indexes of the ledger; both are sorted by ``time``, the newest alerts of a device or a site.
BY_DEVICE: Final = "by-device"
BY_SITE: Final = "by-site"
_IN_INDEXES: Final = ("application", "camera", "rule", "severity", "message", "device", "site")


class AlertsStack(Stack):
    """What takes alerts and insights.

    Attributes:
        ledger: one row for each alert, by ``alert_id``.
        sequences: how far each outbox epoch of each device is complete, by ``stream``.
        bus: of the account's own events: alerts, states of devices and models, rollouts.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, storage: StorageStack, fleet: FleetStack
    ) -> None:
        super().__init__(
            scope, construct_id, stack_name=construct_id, description="Vedette: alerts, insights, notifications"
        )
        self._settings = settings
        self._storage = storage
        self._fleet = fleet
        self.ledger, self.sequences = self._tables()
        self.bus = events.EventBus(
            self, "Events", event_bus_name=event_bus(settings.stage), description="Alerts, devices, models, rollouts"
        )
        self._topics = AlertTopics(
            self, "Topics", settings=settings, key=storage.keys.messages, operators=storage.operators
        )
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=self.account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=f"vedette_{settings.stage.replace('-', '_')}", description="Vedette: alerts and insights"
            ),
        )
        self._ledger_function(self._archive("AlertsArchive", archive.ALERTS, archive.ALERT_COLUMNS, database))
        self._insights_function(self._archive("InsightsArchive", archive.INSIGHTS, archive.INSIGHT_COLUMNS, database))
        group = analysis(self, settings=settings, database=database, bucket=storage.insights, key=storage.keys.objects)
        publish(
            self,
            settings,
            {
                "ledger-table": self.ledger.table_name,
                "sequences-table": self.sequences.table_name,
                "event-bus": event_bus(settings.stage),
                "athena-workgroup": group.ref,
                "database": database.ref,
                **{f"alerts-topic-{s.value}": topic.topic_arn for s, topic in self._topics.topics.items()},
            },
        )

    def _tables(self) -> tuple[dynamodb.Table, dynamodb.Table]:
        key = self._storage.keys.tables
        ledger = table(self, "Ledger", settings=self._settings, key=key, partition="alert_id", expires="expires_at")
        for name, partition in ((BY_DEVICE, "device"), (BY_SITE, "site")):
            ledger.add_global_secondary_index(
                index_name=name,
                partition_key=dynamodb.Attribute(name=partition, type=dynamodb.AttributeType.STRING),
                sort_key=dynamodb.Attribute(name="time", type=dynamodb.AttributeType.STRING),
                projection_type=dynamodb.ProjectionType.INCLUDE,
                non_key_attributes=[one for one in _IN_INDEXES if one != partition],
            )
        # Without an end: see lambdas/ledger/sequences.py.
        return ledger, table(self, "Sequences", settings=self._settings, key=key, partition="stream")

    def _archive(self, name: str, of: str, columns: dict[str, str], database: glue.CfnDatabase) -> Archive:
        props = ArchiveProps(
            settings=self._settings,
            name=of,
            columns=columns,
            database=database,
            bucket=self._storage.insights,
            bucket_key=self._storage.keys.objects,
            log_key=self._storage.keys.logs,
            operators=self._storage.operators,
        )
        return Archive(self, name, props)

    def _queue(self, name: str, what: str) -> ReliableQueue:
        return ReliableQueue(
            self,
            name,
            QueueProps(
                settings=self._settings,
                key=self._storage.keys.messages,
                operators=self._storage.operators,
                what=what,
            ),
        )

    def _ledger_function(self, rows: Archive) -> None:
        settings, keys = self._settings, self._storage.keys
        queue = self._queue("AlertQueue", "alerts")
        rule = RuleProps(
            name=topics.RULE_ALERTS, sql=device_sql("alerts"), what="alerts", queue=queue, key=keys.messages
        )
        DeviceRule(self, "AlertRule", rule)
        by_severity = self._topics.topics
        environment = LedgerSettings(
            stage=settings.stage,
            ledger_table=self.ledger.table_name,
            sequences_table=self.sequences.table_name,
            devices_table=self._fleet.devices.table_name,
            topic_info=by_severity[Severity.INFO].topic_arn,
            topic_warning=by_severity[Severity.WARNING].topic_arn,
            topic_critical=by_severity[Severity.CRITICAL].topic_arn,
            event_bus=event_bus(settings.stage),
            alerts_stream=rows.stream.ref,
            ledger_days=settings.ledger_days,
        )
        made = VedetteFunction(
            self,
            "LedgerFunction",
            FunctionProps(
                settings=settings,
                log_key=keys.logs,
                folder="ledger",
                environment=environment,
                description="Alerts into the ledger, to people, and acknowledged to the device",
            ),
        )
        feed(made, queue)
        role, acknowledgements = (
            made.role,
            self.format_arn(service="iot", resource="topic", resource_name=topics.cloud_ack("*")),
        )
        allow_table(role, self.ledger, keys.tables, "PutItem", "UpdateItem")
        allow_table(role, self.sequences, keys.tables, "GetItem", "PutItem")
        allow_table(role, self._fleet.devices, keys.tables, "BatchGetItem")
        allow(role, ["sns:Publish"], [topic.topic_arn for topic in by_severity.values()])
        allow(role, ["kms:Decrypt", "kms:GenerateDataKey"], [keys.messages.key_arn])
        allow(role, ["events:PutEvents"], [self.bus.event_bus_arn])
        allow(role, ["iot:Publish"], [acknowledgements])
        rows.grant_put(role)
        accept(
            made,
            {
                f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:iot:<AWS::Region>:<AWS::AccountId>:topic/"
                f"{topics.cloud_ack('*')}]": "The ledger answers every device, each on its own topic."
            },
        )

    def _insights_function(self, rows: Archive) -> None:
        settings, keys = self._settings, self._storage.keys
        queue = self._queue("InsightQueue", "insights")
        rule = RuleProps(
            name=topics.RULE_INSIGHTS, sql=device_sql("insights"), what="insights", queue=queue, key=keys.messages
        )
        DeviceRule(self, "InsightRule", rule)
        made = VedetteFunction(
            self,
            "InsightsFunction",
            FunctionProps(
                settings=settings,
                log_key=keys.logs,
                folder="insights",
                environment=InsightsSettings(
                    stage=settings.stage,
                    devices_table=self._fleet.devices.table_name,
                    insights_stream=rows.stream.ref,
                ),
                description="Reports of insights into rows for analysis",
            ),
        )
        feed(made, queue)
        allow_table(made.role, self._fleet.devices, keys.tables, "BatchGetItem")
        rows.grant_put(made.role)
