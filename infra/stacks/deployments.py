"""Rollouts: what rings should run, the functions that change it, the state machine that does so ring by ring."""

from __future__ import annotations

import json
from typing import Any, Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarm import FINE, alarm
from infra.constructs.comparison_intake import ComparisonIntake
from infra.constructs.component_versions import ComponentVersions, choices, read_tree
from infra.constructs.device_policy import Place
from infra.constructs.function import FunctionProps, VedetteFunction, publish
from infra.constructs.grants import allow, allow_table
from infra.constructs.queue import QueueProps, dead_letters
from infra.constructs.reasons import accept
from infra.constructs.rollout_machine import RolloutMachine
from infra.constructs.table import table
from infra.settings import Settings
from infra.stacks.fleet import FleetStack
from infra.stacks.storage import StorageStack
from vedette.contracts.account import BY_FLEET
from vedette.contracts.functions import (
    BaselineSettings,
    FunctionSettings,
    RolloutApiSettings,
    RolloutSettings,
    fleets_text,
)
from vedette.contracts.logs import component_group

#: A step asks for the same few things whatever the size of a ring; the rest is the services' own retries.
_STEP_LIMIT_S: Final = 120


class DeploymentsStack(Stack):
    """What rolls applications and components out.

    Attributes:
        desired: every version of every ring's desired state, by ``ring`` (``<fleet>/<ring>``) and ``version``.
        rollouts: every rollout, by ``rollout_id``, and what keeps two of the same subject apart.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        fleet: FleetStack,
        bus: events.IEventBus,
        counts: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id, stack_name=construct_id, description="Vedette: rollouts")
        self._settings, self._storage, self._fleet = settings, storage, fleet
        self._place = Place(self.region, self.account)
        self._bus = bus
        self._counts = counts
        built = read_tree(settings.components) if settings.components is not None else ()
        self._first = settings.first_components | choices(built)
        if built:
            ComponentVersions(self, "Components", built=built, readers=fleet.device_role)
        self._tables()
        step = self._function("Step", "rollout_step", "One step of a rollout", RolloutSettings, limit_s=_STEP_LIMIT_S)
        self._may_deploy(step)
        self._bus.grant_put_events_to(step.role)
        machine = RolloutMachine(self, "Rollout", settings=settings, log_key=storage.keys.logs, step=step.function)
        accept(machine.machine.role, {f"AwsSolutions-IAM5[Resource::<{self._id_of(step)}.Arn>:*]": _VERSIONS})
        api = self._function(
            "Api",
            "rollout_api",
            "Plans, starts, aborts and shows rollouts",
            RolloutApiSettings,
            state_machine_arn=machine.machine.state_machine_arn,
            components_arn=self._place.arn("greengrass", "components:"),
            fleets=self._fleets(),
        )
        self._may_start(api, machine)
        ComparisonIntake(
            self,
            "Comparison",
            settings=settings,
            storage=storage,
            rollouts=self.rollouts,
            devices=fleet.devices,
        )
        self._baseline()
        self._alarm(machine)
        publish(
            self,
            settings,
            {
                "rollout-function": api.function.function_name,
                "rollout-machine": machine.machine.state_machine_arn,
                "desired-table": self.desired.table_name,
                "rollouts-table": self.rollouts.table_name,
            },
        )

    def _tables(self) -> None:
        key = self._storage.keys.tables
        self.desired = table(
            self,
            "Desired",
            settings=self._settings,
            key=key,
            partition="ring",
            sort=dynamodb.Attribute(name="version", type=dynamodb.AttributeType.NUMBER),
        )
        # Rollouts themselves are kept for good; what devices told of a comparison is not.
        self.rollouts = table(
            self, "Rollouts", settings=self._settings, key=key, partition="rollout_id", expires="expires"
        )
        self.rollouts.add_global_secondary_index(
            index_name=BY_FLEET,
            partition_key=dynamodb.Attribute(name="fleet", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="created_at", type=dynamodb.AttributeType.NUMBER),
        )

    def _fleets(self) -> str:
        return fleets_text({fleet.name: fleet.rings for fleet in self._settings.fleets})

    def _function(
        self,
        name: str,
        folder: str,
        description: str,
        kind: type[RolloutSettings],
        *,
        limit_s: int = 60,
        **more: Any,
    ) -> VedetteFunction:
        baseline = {name: choice.model_dump(mode="json") for name, choice in sorted(self._first.items())}
        environment: FunctionSettings = kind(
            stage=self._settings.stage,
            desired_table=self.desired.table_name,
            rollouts_table=self.rollouts.table_name,
            devices_table=self._fleet.devices.table_name,
            rings_table=self._fleet.ring_counts.table_name,
            count_queue=self._counts.queue_url,
            event_bus=self._bus.event_bus_name,
            groups_arn=self._place.arn("iot", "thinggroup/"),
            log_key=self._storage.keys.logs.key_arn,
            log_days=self._settings.log_days,
            baseline=json.dumps(baseline),
            **more,
        )
        made = VedetteFunction(
            self,
            name,
            FunctionProps(
                settings=self._settings,
                log_key=self._storage.keys.logs,
                folder=folder,
                environment=environment,
                description=description,
                timeout_s=limit_s,
            ),
        )
        key = self._storage.keys.tables
        allow_table(made.role, self.desired, key, "PutItem", "Query")
        return made

    def _may_deploy(self, function: VedetteFunction) -> None:
        key = self._storage.keys.tables
        allow_table(function.role, self.rollouts, key, "DeleteItem", "GetItem", "UpdateItem")
        # One device's own deployment is judged by that device.
        allow_table(function.role, self._fleet.devices, key, "GetItem")
        allow_table(function.role, self._fleet.ring_counts, key, "GetItem")
        self._may_ask_for_counts(function)
        self._may_make_log_groups(function)
        # Of no resource, either.
        allow(function.role, ["greengrass:ListDeployments"], ["*"])
        allow(function.role, ["greengrass:GetDeployment"], [self._place.arn("greengrass", "deployments:*")])
        allow(
            function.role,
            ["greengrass:ListEffectiveDeployments"],
            [self._place.arn("greengrass", "coreDevices:*")],
        )
        accept(
            function.role,
            {
                f"AwsSolutions-IAM5[Resource::{_GREENGRASS}:coreDevices:*]": "Devices come and go; it reads only.",
                f"AwsSolutions-IAM5[Resource::{_GREENGRASS}:deployments:*]": "AWS names deployments; it reads only.",
            },
        )
        self._may_create_deployments(function)
        # One device is told by its shadow, not by a job.
        allow(
            function.role,
            ["iot:DeleteThingShadow", "iot:DescribeThing", "iot:GetThingShadow", "iot:UpdateThingShadow"],
            [self._place.arn("iot", "thing/*")],
        )
        devices = "Devices come and go; the function that starts rollouts refuses those that are not registered."
        accept(function.role, {f"AwsSolutions-IAM5[Resource::{_IOT}:thing/*]": devices})

    def _may_ask_for_counts(self, function: VedetteFunction) -> None:
        allow(function.role, ["sqs:SendMessage"], [self._counts.queue_arn])
        function.role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[self._storage.keys.messages.key_arn],
                conditions={"StringEquals": {"kms:ViaService": f"sqs.{self.region}.amazonaws.com"}},
            )
        )

    def _may_make_log_groups(self, function: VedetteFunction) -> None:
        ours = ("vedette.app.*", "vedette.candidate.*")
        groups = [self._place.arn("logs", f"log-group:{component_group(self.region, name)}") for name in ours]
        allow(function.role, ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:PutRetentionPolicy"], groups)
        named = [f"log-group:{component_group('<AWS::Region>', name)}" for name in ours]
        accept(
            function.role,
            {f"AwsSolutions-IAM5[Resource::{_LOGS}:{name}]": "Groups of applications, of any name." for name in named},
        )

    def _may_create_deployments(self, function: VedetteFunction) -> None:
        # Greengrass offers no resource for it; what it reaches is held by the IoT statements below, which Greengrass
        # uses in the caller's name.
        allow(function.role, ["greengrass:CreateDeployment"], ["*"])
        allow(
            function.role,
            ["iot:CancelJob", "iot:CreateJob", "iot:DescribeJob", "iot:UpdateJob"],
            [self._place.arn("iot", "job/*"), *self._groups()],
        )
        allow(function.role, ["iot:DescribeThingGroup"], self._groups())
        accept(
            function.role,
            {
                "AwsSolutions-IAM5[Resource::*]": "AWS offers no resource for making and listing deployments.",
                f"AwsSolutions-IAM5[Resource::{_IOT}:job/*]": "Greengrass names the job that it makes of a deployment.",
            },
        )

    def _groups(self) -> list[str]:
        return [self._place.arn("iot", f"thinggroup/{group.thing_group_name}") for group in self._fleet.rings.values()]

    def _may_start(self, api: VedetteFunction, machine: RolloutMachine) -> None:
        key = self._storage.keys.tables
        allow_table(api.role, self.rollouts, key, "DeleteItem", "GetItem", "PutItem", "UpdateItem")
        allow_table(api.role, self.rollouts, key, "Query", index=BY_FLEET)
        allow_table(api.role, self._fleet.devices, key, "GetItem")
        allow_table(api.role, self._fleet.devices, key, "Query", index=BY_FLEET)
        allow_table(api.role, self._fleet.ring_counts, key, "GetItem")
        machine.machine.grant_start_execution(api.role)
        allow(api.role, ["greengrass:DescribeComponent"], [self._place.arn("greengrass", "components:vedette.*")])
        accept(
            api.role,
            {f"AwsSolutions-IAM5[Resource::{_GREENGRASS}:components:vedette.*]": "Our components, in all versions."},
        )

    def _baseline(self) -> None:
        """New rings get their first deployment as soon as this stack is there, without a custom resource."""
        function = self._function(
            "Baseline",
            "ring_baseline",
            "Gives new rings their first deployment",
            BaselineSettings,
            fleets=self._fleets(),
        )
        self._may_create_deployments(function)
        props = QueueProps(
            settings=self._settings,
            key=self._storage.keys.messages,
            operators=self._storage.operators,
            what="first deployments of rings",
        )
        failed = dead_letters(self, "BaselineDeadLetters", "BaselineAlarm", props)
        accept(
            function.role,
            {
                "AwsSolutions-IAM5[Action::kms:GenerateDataKey*]": _SENDING,
                "AwsSolutions-IAM5[Action::kms:ReEncrypt*]": _SENDING,
            },
        )
        function.function.configure_async_invoke(on_failure=destinations.SqsDestination(failed), retry_attempts=2)
        events.Rule(
            self,
            "StackIsThere",
            description="This stack was made or changed",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={
                    "stack-id": [self.stack_id],
                    "status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]},
                },
            ),
            targets=[targets.LambdaFunction(function.function, dead_letter_queue=failed, retry_attempts=5)],
        )
        publish(self, self._settings, {"baseline-function": function.function.function_name})

    def _alarm(self, machine: RolloutMachine) -> None:
        metrics = {
            "failed": machine.machine.metric_failed(),
            "timed_out": machine.machine.metric_timed_out(),
            "aborted": machine.machine.metric_aborted(),
        }
        alarm(
            self,
            "RolloutAlarm",
            cloudwatch.MathExpression(
                expression="failed + timed_out + aborted", using_metrics=metrics, period=Duration.minutes(5)
            ),
            settings=self._settings,
            operators=self._storage.operators,
            text="A rollout was taken back, or broke off.",
            runbook="rollout-failed",
            missing=FINE,  # most of the time nobody rolls anything out
        )

    def _id_of(self, function: VedetteFunction) -> str:
        return str(self.get_logical_id(function.function.node.default_child))


_LOGS: Final = "arn:aws:logs:<AWS::Region>:<AWS::AccountId>"
_IOT: Final = "arn:aws:iot:<AWS::Region>:<AWS::AccountId>"
_GREENGRASS: Final = "arn:aws:greengrass:<AWS::Region>:<AWS::AccountId>"
_SENDING: Final = "What AWS asks of a sender to an encrypted queue, with the one key of queues."
_VERSIONS: Final = "The machine invokes this function; the CDK allows its versions, too, and it has none."
