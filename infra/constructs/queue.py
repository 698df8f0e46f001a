"""A queue with a dead-letter queue behind it, and an alarm on that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.settings import Settings

#: Deliveries after which a message is set aside.
MAX_RECEIVES: Final = 5
#: How long what was set aside is kept.
KEPT_DAYS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueProps:
    """What a queue is.

    Attributes:
        settings: of the stage.
        key: encrypts the messages.
        operators: topic that the alarm goes to.
        what: of the messages, in the alarm's text, such as ``alerts``.
        visibility_s: how long a message that is being worked on is hidden: six times the function's time limit.
    """

    settings: Settings
    key: kms.IKey
    operators: sns.ITopic
    what: str
    visibility_s: int = 180


class ReliableQueue(Construct):
    """Messages are worked on, or set aside and told of; none is lost silently."""

    def __init__(self, scope: Construct, construct_id: str, props: QueueProps) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=props.key,
            enforce_ssl=True,
            retention_period=Duration.days(KEPT_DAYS),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=props.key,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(props.visibility_s),
            retention_period=Duration.days(4),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=MAX_RECEIVES),
        )
        self.alarm = dead_letter_alarm(self, "Alarm", self.dead_letters, props)


def dead_letter_alarm(scope: Construct, construct_id: str, queue: sqs.IQueue, props: QueueProps) -> cloudwatch.Alarm:
    """Told as soon as one message lies in a dead-letter queue."""
    alarm = cloudwatch.Alarm(
        scope,
        construct_id,
        metric=queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(1), statistic="Maximum"),
        threshold=0,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=1,
        # An idle queue reports nothing, and nothing in it is what is wanted.
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=f"Messages about {props.what} could not be worked on and were set aside. "
        f"Runbook: {props.settings.runbooks}#dead-letters",
    )
    alarm.add_alarm_action(cloudwatch_actions.SnsAction(props.operators))
    return alarm
