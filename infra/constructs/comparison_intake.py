"""What devices tell of a new version beside the running one: rule, queue, function."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.function import FunctionProps, VedetteFunction
from infra.constructs.grants import allow_table, feed
from infra.constructs.queue import QueueProps, ReliableQueue
from infra.constructs.rule import DeviceRule, RuleProps, device_sql
from infra.settings import Settings
from infra.stacks.storage import StorageStack
from vedette.contracts.functions import ComparisonSettings
from vedette.contracts.topics import RULE_COMPARISON

_WHAT: Final = "comparisons of versions"
_LIMIT_S: Final = 30
#: Calls at the same time: all reports of a rollout go into one item, and more would only wait for each other.
_CALLS: Final = 2


class ComparisonIntake(Construct):
    """Puts each device's newest report into the item of its rollout.

    Args:
        scope: of the construct.
        construct_id: within it.
        settings: of the stage.
        storage: keys, and the topic of alarms.
        rollouts: table of rollouts, in which an item for each comparison is kept.
        devices: table of devices.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        rollouts: dynamodb.Table,
        devices: dynamodb.Table,
    ) -> None:
        super().__init__(scope, construct_id)
        queue = ReliableQueue(
            self,
            "Queue",
            QueueProps(
                settings=settings,
                key=storage.keys.messages,
                operators=storage.operators,
                what=_WHAT,
                visibility_s=6 * _LIMIT_S,
            ),
        )
        DeviceRule(
            self,
            "Rule",
            RuleProps(
                name=RULE_COMPARISON,
                sql=device_sql("comparison"),
                what=_WHAT,
                queue=queue,
                key=storage.keys.messages,
            ),
        )
        environment = ComparisonSettings(
            stage=settings.stage, rollouts_table=rollouts.table_name, devices_table=devices.table_name
        )
        made = VedetteFunction(
            self,
            "Function",
            FunctionProps(
                settings=settings,
                log_key=storage.keys.logs,
                folder="comparison",
                environment=environment,
                description="Keeps what devices tell of comparisons of versions",
                timeout_s=_LIMIT_S,
            ),
        )
        feed(made, queue, calls=_CALLS)
        allow_table(made.role, devices, storage.keys.tables, "GetItem")
        allow_table(made.role, rollouts, storage.keys.tables, "GetItem")
        made.role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["dynamodb:PutItem"],
                resources=[rollouts.table_arn],
                # A rollout itself is the state machine's to write.
                conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["comparison/*"]}},
            )
        )
