"""A table: encrypted, paid by use, restorable to any second of the last 35 days."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.function import removal
from infra.settings import Settings


def table(
    scope: Construct,
    construct_id: str,
    *,
    settings: Settings,
    key: kms.IKey,
    partition: str,
    sort: dynamodb.Attribute | None = None,
    expires: str | None = None,
) -> dynamodb.Table:
    """A table whose partition key is text.

    Args:
        scope: of the construct.
        construct_id: within it.
        settings: of the stage.
        key: encrypts it.
        partition: name of the partition key.
        sort: the sort key, if any.
        expires: attribute that holds when an item ends, seconds since 1970.
    """
    return dynamodb.Table(
        scope,
        construct_id,
        partition_key=dynamodb.Attribute(name=partition, type=dynamodb.AttributeType.STRING),
        sort_key=sort,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
        encryption_key=key,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        time_to_live_attribute=expires,
        removal_policy=removal(settings),
    )
