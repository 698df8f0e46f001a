"""One function of the account: arm64, the current Python, its own role, logs with an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.assets import PYTHON_VERSION, functions_asset
from infra.settings import LambdaPlatform, Settings
from vedette.contracts.functions import FunctionSettings

_RETENTION: Final = {
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionProps:
    """What a function is.

    Attributes:
        settings: of the stage.
        log_key: encrypts its logs.
        folder: below ``lambdas``; its ``handler.py`` has the function ``handle``.
        environment: what it reads when it starts.
        description: one line for people.
        timeout_s: after which it is ended.
        memory_mb: and with it its share of a processor.
        reserved: how many may run at once; the account's share where None.
    """

    settings: Settings
    log_key: kms.IKey
    folder: str
    environment: FunctionSettings
    description: str
    timeout_s: int = 30
    memory_mb: int = 256
    reserved: int | None = None


class VedetteFunction(Construct):
    """The function, its log group and its role, which may write these logs and nothing else until granted."""

    def __init__(self, scope: Construct, construct_id: str, props: FunctionProps) -> None:
        super().__init__(scope, construct_id)
        self.logs = log_group(self, "Logs", settings=props.settings, key=props.log_key)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"Of the function {props.folder}",
        )
        self.logs.grant_write(role)
        self.function = lambda_.Function(
            self,
            "Function",
            code=lambda_.Code.from_asset(str(functions_asset(props.settings.lambda_platform))),
            handler=f"lambdas.{props.folder}.handler.handle",
            runtime=lambda_.Runtime(f"python{PYTHON_VERSION}", lambda_.RuntimeFamily.PYTHON),
            architecture=lambda_.Architecture.ARM_64
            if props.settings.lambda_platform is LambdaPlatform.ARM64
            else lambda_.Architecture.X86_64,
            environment=props.environment.environment(),
            description=props.description,
            timeout=Duration.seconds(props.timeout_s),
            memory_size=props.memory_mb,
            role=role,
            log_group=self.logs,
            reserved_concurrent_executions=props.reserved,
        )

    @property
    def role(self) -> iam.IRole:
        """The function's role."""
        role = self.function.role
        assert role is not None
        return role


def log_group(scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> logs.LogGroup:
    """Encrypted logs that end with the stage's days."""
    return logs.LogGroup(
        scope,
        construct_id,
        retention=_RETENTION[settings.log_days],
        encryption_key=key,
        removal_policy=removal(settings),
    )


def removal(settings: Settings) -> RemovalPolicy:
    """What becomes of data when a stack is destroyed."""
    return RemovalPolicy.RETAIN if settings.keep_data else RemovalPolicy.DESTROY


def publish(scope: Construct, settings: Settings, values: dict[str, str]) -> None:
    """Parameters by which the command line finds what a stack made."""
    from aws_cdk import aws_ssm as ssm

    from vedette.contracts.account import parameter

    for key, value in values.items():
        ssm.StringParameter(
            Stack.of(scope),
            "Parameter" + key.title().replace("-", ""),
            parameter_name=parameter(settings.stage, key),
            string_value=value,
        )
