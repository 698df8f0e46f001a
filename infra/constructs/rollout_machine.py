"""The state machine of a rollout: rings in order, a look now and then, everything taken back where one does badly."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.constructs.function import log_group
from infra.constructs.reasons import accept
from infra.constructs.repeat import repeat
from infra.settings import Settings

#: Longer than any rollout may take, so that it is the gate that ends one.
_LIMIT: Final = Duration.days(8)


class RolloutMachine(Construct):
    """The machine and its logs.

    Args:
        scope: of the construct.
        construct_id: within it.
        settings: of the stage.
        log_key: encrypts its logs.
        step: does each step.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        log_key: kms.IKey,
        step: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, construct_id)
        self._step = step
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            definition_body=sfn.DefinitionBody.from_chainable(self._definition()),
            timeout=_LIMIT,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group(self, "Logs", settings=settings, key=log_key),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
        )
        accept(
            self.machine.role,
            {
                "AwsSolutions-IAM5[Resource::*]": "Delivery of logs and traces are of no resource.",
            },
        )

    def _definition(self) -> sfn.IChainable:
        begin, check = self._task("BeginRing", "begin"), self._task("CheckRing", "check")
        finish, restore = self._task("Finish", "finish"), self._task("RollBack", "roll-back")
        wait = sfn.Wait(
            self, "LetDevicesWork", time=sfn.WaitTime.seconds_path("$.wait_s"), comment="As often as the policy says"
        )
        done = sfn.Succeed(self, "Done")
        rolled_back = sfn.Fail(
            self, "RolledBack", error="RolledBack", cause="The rollout's own record says why; every ring is restored."
        )
        not_restored = sfn.Fail(
            self, "NotRestored", error="NotRestored", cause="A ring may still run the change: roll it back by hand."
        )
        decide = sfn.Choice(self, "WhatNext")
        for word, state in (("begin", begin), ("wait", wait), ("finish", finish), ("roll-back", restore)):
            decide.when(sfn.Condition.string_equals("$.step.next", word), state)
        decide.otherwise(done)
        wait.next(check)
        for task in (begin, check):
            task.next(decide)
        finish.next(done)
        restore.next(rolled_back)
        for task in (begin, check, finish):
            task.add_catch(restore, errors=["States.ALL"], result_path="$.error")
        restore.add_catch(not_restored, errors=["States.ALL"], result_path="$.error")
        nothing_wrong = sfn.Pass(self, "NothingWrongYet", result=sfn.Result.from_object({}), result_path="$.error")
        return nothing_wrong.next(begin)

    def _task(self, name: str, action: str) -> tasks.LambdaInvoke:
        task = tasks.LambdaInvoke(
            self,
            name,
            lambda_function=self._step,
            payload=sfn.TaskInput.from_object(
                {
                    "action": action,
                    "rollout_id": sfn.JsonPath.string_at("$.rollout_id"),
                    "error": sfn.JsonPath.object_at("$.error"),
                }
            ),
            result_selector={"next": sfn.JsonPath.string_at("$.Payload.next")},
            result_path="$.step",
            retry_on_service_exceptions=False,
            task_timeout=sfn.Timeout.duration(Duration.minutes(6)),
        )
        # Throttled tables, a Greengrass that is busy, another writer: all pass. What does not, is rolled back.
        repeat(task, ["States.ALL"], times=8)
        return task
