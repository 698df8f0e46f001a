"""The way of a model from upload to component, as a state machine that can be read."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import CfnElement, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.constructs.reasons import accept
from infra.constructs.repeat import repeat
from vedette.contracts.model_record import BROKEN

_THROTTLED = ("SageMaker.SageMakerException", "SageMaker.ThrottlingException", "States.Timeout")
#: How often a compilation job is looked at.
LOOK_S = 15
#: After which a compilation job is ended.
JOB_LIMIT_S = 1800
#: After which an execution is.
EXECUTION_LIMIT = Duration.hours(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineProps:
    """What the state machine is made of.

    Attributes:
        stage: of the stacks.
        intake: looks through what arrived; answers with one plan a target.
        release: makes the component.
        failure: records why there is none.
        job_role: of Neo's jobs.
        log_group: of the executions.
    """

    stage: str
    intake: lambda_.IFunction
    release: lambda_.IFunction
    failure: lambda_.IFunction
    job_role: iam.IRole
    log_group: logs.ILogGroup


def _logical_id(function: lambda_.IFunction) -> str:
    resource = function.node.default_child
    assert isinstance(resource, CfnElement)
    return str(Stack.of(function).get_logical_id(resource))


class ModelMachine(Construct):
    """Intake, then for each target side by side: compile where Neo does, release, record what failed."""

    def __init__(self, scope: Construct, construct_id: str, props: MachineProps) -> None:
        super().__init__(scope, construct_id)
        self._props = props
        self._wait = sfn.Wait(self, "Compiling", time=sfn.WaitTime.duration(Duration.seconds(LOOK_S)))
        arrived = {"event": sfn.JsonPath.object_at("$"), "execution": sfn.JsonPath.execution_name}
        intake = self._function("Intake", props.intake, sfn.TaskInput.from_object(arrived), output="$.Payload")
        each = sfn.Map(
            self, "EachTarget", items_path="$.plans", max_concurrency=4, result_path="$.results"
        ).item_processor(self._target())
        broken = sfn.Fail(self, "Broken", error="Broken", cause="A step failed that has nothing to do with the model.")
        look = sfn.Pass(
            self,
            "LookForBroken",
            parameters={"broken": sfn.JsonPath.array_contains(sfn.JsonPath.string_at("$.results"), BROKEN)},
        )
        settled = sfn.Choice(self, "AnyBroken")
        settled.when(sfn.Condition.boolean_equals("$.broken", True), broken).otherwise(sfn.Succeed(self, "Settled"))
        intake.add_catch(broken, result_path="$.error")
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            definition_body=sfn.DefinitionBody.from_chainable(intake.next(each).next(look).next(settled)),
            timeout=EXECUTION_LIMIT,
            tracing_enabled=True,
            logs=sfn.LogOptions(destination=props.log_group, level=sfn.LogLevel.ALL, include_execution_data=False),
        )
        accept(
            self.machine,
            {
                "AwsSolutions-IAM5[Resource::*]": "X-Ray and the delivery of logs are permissions without a resource "
                "of their own; AWS offers nothing narrower.",
                f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>:"
                f"compilation-job/vedette-{props.stage}-*]": "Jobs are named after the content that they compile.",
            }
            | {
                f"AwsSolutions-IAM5[Resource::<{_logical_id(function)}.Arn>:*]": "Versions of this one function, which "
                "it calls in any case."
                for function in (props.intake, props.release, props.failure)
            },
        )

    def _function(
        self,
        name: str,
        function: lambda_.IFunction,
        payload: sfn.TaskInput | None = None,
        *,
        output: str = "$.Payload.outcome",
    ) -> tasks.LambdaInvoke:
        """Call a function, with the state itself where no payload is given."""
        step = tasks.LambdaInvoke(
            self,
            name,
            lambda_function=function,
            payload=payload,
            output_path=output,
            retry_on_service_exceptions=False,
        )
        # Whatever a function raises is worth a repeat: what the model's author did wrong it records instead.
        repeat(step, ["States.ALL"], times=5)
        return step

    def _target(self) -> sfn.IChainable:
        """One target. A failure is recorded and answered with, so that the other targets go on."""
        release = self._function("Release", self._props.release)
        failure = self._function("RecordFailure", self._props.failure)
        create, describe = self._create(), self._describe()
        for step in (create, describe, release):
            step.add_catch(failure, errors=["States.ALL"], result_path="$.error")
        status = sfn.Choice(self, "HowFar")
        field = "$.neo.CompilationJobStatus"
        status.when(sfn.Condition.string_equals(field, "COMPLETED"), release)
        status.when(
            sfn.Condition.or_(*(sfn.Condition.string_equals(field, one) for one in ("FAILED", "STOPPED"))), failure
        )
        status.otherwise(self._wait)
        create.next(self._wait).next(describe).next(status)
        way = sfn.Choice(self, "Way")
        return way.when(sfn.Condition.string_equals("$.path", "neo"), create).otherwise(release)

    def _create(self) -> tasks.CallAwsService:
        stack = Stack.of(self)
        create = tasks.CallAwsService(
            self,
            "Compile",
            service="sagemaker",
            action="createCompilationJob",
            parameters={
                "CompilationJobName": sfn.JsonPath.string_at("$.job.CompilationJobName"),
                "InputConfig": sfn.JsonPath.object_at("$.job.InputConfig"),
                "OutputConfig": sfn.JsonPath.object_at("$.job.OutputConfig"),
                "RoleArn": self._props.job_role.role_arn,
                "StoppingCondition": {"MaxRuntimeInSeconds": JOB_LIMIT_S},
            },
            iam_resources=[self._jobs(stack)],
            additional_iam_statements=[
                iam.PolicyStatement(
                    actions=["iam:PassRole"],
                    resources=[self._props.job_role.role_arn],
                    conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
                )
            ],
            result_path=sfn.JsonPath.DISCARD,
        )
        # The account runs a bounded number of jobs at a time: the others wait.
        create.add_retry(
            errors=["SageMaker.ResourceLimitExceededException"],
            interval=Duration.seconds(30),
            max_attempts=20,
            backoff_rate=1.5,
            max_delay=Duration.minutes(5),
        )
        repeat(create, _THROTTLED, times=8)
        # A repeat of a request whose answer was lost finds the job that it made.
        create.add_catch(self._wait, errors=["SageMaker.ResourceInUseException"], result_path=sfn.JsonPath.DISCARD)
        return create

    def _describe(self) -> tasks.CallAwsService:
        describe = tasks.CallAwsService(
            self,
            "Look",
            service="sagemaker",
            action="describeCompilationJob",
            parameters={"CompilationJobName": sfn.JsonPath.string_at("$.job.CompilationJobName")},
            iam_resources=[self._jobs(Stack.of(self))],
            result_path="$.neo",
        )
        repeat(describe, _THROTTLED, times=8)
        return describe

    def _jobs(self, stack: Stack) -> str:
        name = f"vedette-{self._props.stage}-*"
        return str(stack.format_arn(service="sagemaker", resource="compilation-job", resource_name=name))
