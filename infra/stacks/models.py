"""Models: what arrives is checked, compiled or packed for each target, and becomes a component."""

from __future__ import annotations

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.alarm import FINE, alarm
from infra.constructs.function import FunctionProps, VedetteFunction, log_group, publish
from infra.constructs.grants import allow, allow_table
from infra.constructs.model_machine import MachineProps, ModelMachine
from infra.constructs.queue import QueueProps, dead_letters
from infra.constructs.reasons import accept
from infra.constructs.table import table
from infra.settings import Settings
from infra.stacks.storage import StorageStack
from vedette.contracts.functions import (
    FunctionSettings,
    ModelFailureSettings,
    ModelIntakeSettings,
    ModelReleaseSettings,
)
from vedette.contracts.model_card import CARD_NAME
from vedette.contracts.model_record import CODE, COMPILED, DATASETS, INCOMING, JOBS, TRAINED, TRAINING_IMAGES_ACCOUNT


class ModelsStack(Stack):
    """What makes models ready for devices.

    Attributes:
        models: one item a version and target; see ``vedette.contracts.model_record``.
        machine: the way from upload to component.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        storage: StorageStack,
        bus: events.IEventBus,
    ) -> None:
        super().__init__(scope, construct_id, stack_name=construct_id, description="Vedette: models")
        self._settings, self._storage, self._bus = settings, storage, bus
        self.models = table(
            self,
            "Models",
            settings=settings,
            key=storage.keys.tables,
            partition="model",
            sort=dynamodb.Attribute(name="release", type=dynamodb.AttributeType.STRING),
        )
        job_role, training_role = self._compile_role(), self._training_role()
        machine = ModelMachine(
            self,
            "Way",
            MachineProps(
                stage=settings.stage,
                intake=self._intake().function,
                release=self._release().function,
                failure=self._failure().function,
                job_role=job_role,
                log_group=log_group(self, "Executions", settings=settings, key=storage.keys.logs),
            ),
        )
        self.machine = machine.machine
        self._start_by_events(self.machine)
        self._alarm(self.machine)
        publish(
            self,
            settings,
            {
                "models-table": self.models.table_name,
                "models-machine": self.machine.state_machine_arn,
                "models-training-role": training_role.role_arn,
                "models-key": storage.keys.objects.key_arn,
            },
        )

    # --- functions ------------------------------------------------------------------------------------------------

    def _function(self, name: str, environment: FunctionSettings, description: str) -> VedetteFunction:
        made = VedetteFunction(
            self,
            name.title(),
            FunctionProps(
                settings=self._settings,
                log_key=self._storage.keys.logs,
                folder=f"model_{name}",
                environment=environment,
                description=description,
                # Files of up to 200 MB are read and written twice.
                timeout_s=300,
                memory_mb=1024,
            ),
        )
        self._bus.grant_put_events_to(made.role)
        return made

    def _intake(self) -> VedetteFunction:
        environment = ModelIntakeSettings(
            stage=self._settings.stage,
            models_bucket=self._storage.models.bucket_name,
            models_table=self.models.table_name,
            event_bus=self._bus.event_bus_name,
            objects_key=self._storage.keys.objects.key_arn,
        )
        made = self._function("intake", environment, "Looks through models that arrive")
        self._on_table(made, "GetItem", "PutItem", "DeleteItem")
        self._on_models(made.role, read=(INCOMING, TRAINED), write=(JOBS, INCOMING))
        return made

    def _release(self) -> VedetteFunction:
        environment = ModelReleaseSettings(
            stage=self._settings.stage,
            models_bucket=self._storage.models.bucket_name,
            models_table=self.models.table_name,
            event_bus=self._bus.event_bus_name,
            artefacts_bucket=self._storage.artefacts.bucket_name,
        )
        made = self._function("release", environment, "Makes components of models")
        self._on_table(made, "PutItem")
        self._on_models(made.role, read=(JOBS, COMPILED))
        # Greengrass reads the archive with the permissions of whoever makes the component.
        allow(made.role, ["s3:GetObject", "s3:PutObject"], [self._storage.artefacts.arn_for_objects("models/*")])
        component = self._component_arn("vedette.model.*")
        allow(
            made.role,
            ["greengrass:CreateComponentVersion", "greengrass:GetComponent"],
            [component, f"{component}:versions:*"],
        )
        allow(made.role, ["greengrass:ListComponents"], ["*"])
        self._accept_prefixes(made.role, self._storage.artefacts, ("models/",))
        component = "arn:<AWS::Partition>:greengrass:<AWS::Region>:<AWS::AccountId>:components:vedette.model.*"
        ours = "Components of models, whatever data scientists call them; no other component of the account."
        accept(
            made,
            {
                "AwsSolutions-IAM5[Resource::*]": "Greengrass lists components of the account or none; names are "
                "compared by the function.",
                f"AwsSolutions-IAM5[Resource::{component}]": ours,
                f"AwsSolutions-IAM5[Resource::{component}:versions:*]": ours,
            },
        )
        return made

    def _failure(self) -> VedetteFunction:
        environment = ModelFailureSettings(
            stage=self._settings.stage, models_table=self.models.table_name, event_bus=self._bus.event_bus_name
        )
        made = self._function("failure", environment, "Records why a model did not get ready")
        self._on_table(made, "PutItem")
        return made

    def _component_arn(self, name: str) -> str:
        colons = ArnFormat.COLON_RESOURCE_NAME
        return str(self.format_arn(service="greengrass", resource="components", resource_name=name, arn_format=colons))

    # --- permissions ----------------------------------------------------------------------------------------------

    def _on_table(self, function: VedetteFunction, *actions: str) -> None:
        allow_table(function.role, self.models, self._storage.keys.tables, *actions)

    def _on_models(self, role: iam.IRole, *, read: tuple[str, ...], write: tuple[str, ...] = ()) -> None:
        """Objects below some prefixes of the models bucket, and the key they are encrypted with."""
        bucket = self._storage.models
        allow(role, ["s3:GetObject"], [bucket.arn_for_objects(f"{prefix}*") for prefix in read])
        if write:
            allow(role, ["s3:PutObject"], [bucket.arn_for_objects(f"{prefix}*") for prefix in write])
        self._use_key(role, self._storage.keys.objects)
        self._accept_prefixes(role, bucket, read + write)

    def _accept_prefixes(self, role: iam.IRole, bucket: s3.IBucket, prefixes: tuple[str, ...]) -> None:
        """The permissions end at a prefix, which is as narrow as names of uploads allow."""
        export = self.resolve(Stack.of(bucket).export_value(bucket.bucket_arn))["Fn::ImportValue"]
        why = "Objects below one prefix of one bucket, whose names data scientists and jobs choose."
        accept(role, {f"AwsSolutions-IAM5[Resource::{export}/{prefix}*]": why for prefix in dict.fromkeys(prefixes)})

    @staticmethod
    def _use_key(role: iam.IRole, key: kms.IKey) -> None:
        """Read and write what is encrypted with a key."""
        allow(role, ["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn])

    def _job_base_role(self, name: str, description: str, read: tuple[str, ...], write: str) -> iam.Role:
        """A role of SageMaker's jobs for this account, with a few prefixes of one bucket."""
        role = iam.Role(
            self,
            name,
            description=description,
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.account}}
            ),
        )
        self._on_models(role, read=read, write=(write,))
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[self._storage.models.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in (*read, write)]}},
            )
        )
        allow(role, ["s3:GetBucketLocation"], [self._storage.models.bucket_arn])
        return role

    def _compile_role(self) -> iam.Role:
        return self._job_base_role("CompileRole", "Of compilation jobs", (JOBS,), COMPILED)

    def _training_role(self) -> iam.Role:
        role = self._job_base_role("TrainingRole", "Of training jobs", (CODE, DATASETS), TRAINED)
        logs = self.format_arn(
            service="logs",
            resource="log-group",
            resource_name="/aws/sagemaker/TrainingJobs:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        allow(
            role,
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [logs],
        )
        allow(role, ["ecr:GetAuthorizationToken"], ["*"])
        ours = "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>"
        accept(
            role,
            {
                "AwsSolutions-IAM5[Resource::*]": "The token of the image registry has no resource of its own.",
                f"{ours}:ecr:<AWS::Region>:<AWS::AccountId>:repository/vedette-*]": "Training images that the owner "
                "makes for this project, whatever they are called behind the prefix.",
                f"{ours}:logs:<AWS::Region>:<AWS::AccountId>:log-group:/aws/sagemaker/TrainingJobs:*]": "Streams of "
                "the one log group that SageMaker writes training jobs' output to.",
            },
        )
        allow(
            role,
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [
                f"arn:{self.partition}:ecr:{self.region}:{TRAINING_IMAGES_ACCOUNT}:repository/pytorch-training",
                f"arn:{self.partition}:ecr:{self.region}:{self.account}:repository/vedette-*",
            ],
        )
        return role

    # --- events and alarms ----------------------------------------------------------------------------------------

    def _start_by_events(self, machine: sfn.IStateMachine) -> None:
        """An upload's description, which comes last, or the end of one of our training jobs."""
        props = QueueProps(
            settings=self._settings,
            key=self._storage.keys.messages,
            operators=self._storage.operators,
            what="models that arrived",
        )
        not_started = dead_letters(self, "DeadLetters", "NotStarted", props)
        uploaded = events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={
                "bucket": {"name": [self._storage.models.bucket_name]},
                "object": {"key": [{"wildcard": f"{INCOMING}*/*/{CARD_NAME}"}]},
            },
        )
        trained = events.EventPattern(
            source=["aws.sagemaker"],
            detail_type=["SageMaker Training Job State Change"],
            detail={
                "TrainingJobStatus": ["Completed"],
                "TrainingJobName": [{"prefix": f"vedette-{self._settings.stage}-"}],
            },
        )
        target = targets.SfnStateMachine(
            machine, dead_letter_queue=not_started, retry_attempts=20, max_event_age=Duration.hours(6)
        )
        events.Rule(self, "Uploaded", event_pattern=uploaded, targets=[target], description="A model was uploaded")
        events.Rule(self, "Trained", event_pattern=trained, targets=[target], description="A training job ended")

    def _alarm(self, machine: sfn.StateMachine) -> None:
        for name, metric, what in (
            ("Failed", machine.metric_failed(period=Duration.minutes(5)), "failed"),
            ("TimedOut", machine.metric_timed_out(period=Duration.minutes(5)), "took longer than three hours"),
        ):
            alarm(
                self,
                name,
                metric,
                settings=self._settings,
                operators=self._storage.operators,
                text=f"The way of a model to its component {what}, and it was not the model.",
                runbook="models",
                missing=FINE,  # nothing is reported while no model is on its way
            )
