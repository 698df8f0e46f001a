"""A rule that puts what devices send into a queue."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.queue import ReliableQueue

#: Version of AWS IoT's SQL.
SQL_VERSION = "2016-03-23"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleProps:
    """What a rule is.

    Attributes:
        name: of the rule; where devices send by basic ingest it is part of their topics.
        sql: what is taken, and what of it.
        what: of the messages, for people.
        queue: where they go. What cannot be put there goes to its dead letters, and the alarm on them tells.
        key: of the queue.
    """

    name: str
    sql: str
    what: str
    queue: ReliableQueue
    key: kms.IKey


class DeviceRule(Construct):
    """The rule, and the role by which it may write into the queue and its dead letters and do nothing else."""

    def __init__(self, scope: Construct, construct_id: str, props: RuleProps) -> None:
        super().__init__(scope, construct_id)
        queues = (props.queue.queue, props.queue.dead_letters)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "iot.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
            ),
            description=f"Of the rule {props.name}",
        )
        role.add_to_policy(
            iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn for queue in queues])
        )
        role.add_to_policy(
            iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[props.key.key_arn])
        )
        queue, dead_letters = (
            iot.CfnTopicRule.ActionProperty(
                sqs=iot.CfnTopicRule.SqsActionProperty(
                    queue_url=one.queue_url, role_arn=role.role_arn, use_base64=False
                )
            )
            for one in queues
        )
        self.rule = iot.CfnTopicRule(
            self,
            "Rule",
            rule_name=props.name,
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                sql=props.sql,
                aws_iot_sql_version=SQL_VERSION,
                description=f"Vedette: {props.what}",
                rule_disabled=False,
                actions=[queue],
                error_action=dead_letters,
            ),
        )
        # AWS IoT tries the role when the rule is made.
        self.rule.node.add_dependency(role)


def device_sql(kind: str) -> str:
    """Takes what all devices send on their topic of a kind, and adds which of them it was.

    The name comes from the topic, which the device's certificate is bound to. A message that brings one of its own is
    forged and goes nowhere.
    """
    return f"SELECT *, topic(2) AS thing FROM 'vedette/+/{kind}' WHERE isUndefined(thing)"  # noqa: S608 - of AWS IoT; the kind is ours
