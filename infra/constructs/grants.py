"""Rights of functions, as narrow as what they do."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_event_sources as sources

from infra.constructs.function import VedetteFunction
from infra.constructs.queue import ReliableQueue
from vedette.contracts.functions import BATCH, MAX_CALLS


def allow_table(role: iam.IRole, table: dynamodb.Table, key: kms.IKey, *actions: str, index: str | None = None) -> None:
    """Allow actions on a table and what they need of its key, which DynamoDB uses in the caller's name.

    Args:
        role: of the function.
        table: encrypted with the key.
        key: the table's.
        actions: names after ``dynamodb:``.
        index: only this index of the table where given.
    """
    resource = table.table_arn if index is None else f"{table.table_arn}/index/{index}"
    role.add_to_principal_policy(
        iam.PolicyStatement(actions=[f"dynamodb:{action}" for action in actions], resources=[resource])
    )
    role.add_to_principal_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt", "kms:DescribeKey"],
            resources=[key.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"dynamodb.{Stack.of(table).region}.amazonaws.com"}},
        )
    )


def allow(role: iam.IRole, actions: Sequence[str], resources: Sequence[str]) -> None:
    """One statement."""
    role.add_to_principal_policy(iam.PolicyStatement(actions=list(actions), resources=list(resources)))


def feed(function: VedetteFunction, queue: ReliableQueue, *, batch: int = BATCH, calls: int = MAX_CALLS) -> None:
    """Let a function work on a queue, each message by itself, in so many calls at the same time at most."""
    function.function.add_event_source(
        sources.SqsEventSource(queue.queue, batch_size=batch, report_batch_item_failures=True, max_concurrency=calls)
    )
