"""Events into a queue."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs

from infra.constructs.queue import ReliableQueue


def send_to_queue(rule: events.Rule, queue: ReliableQueue, message: events.RuleTargetInput | None = None) -> None:
    """Let a rule put what it is about, or a message, into a queue; what it cannot put there goes to the dead letters.

    The queues are named by their ARNs and allowed here, for this rule only: the CDK's own grant would let EventBridge
    use the key of messages on behalf of any account.
    """
    named = [
        sqs.Queue.from_queue_arn(rule, name, made.queue_arn)
        for name, made in (("Target", queue.queue), ("Undelivered", queue.dead_letters))
    ]
    rule.add_target(targets.SqsQueue(named[0], dead_letter_queue=named[1], message=message))
    for made in (queue.queue, queue.dead_letters):
        made.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[made.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.rule_arn}},
            )
        )
