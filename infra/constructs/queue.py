"""A queue with a dead-letter queue behind it, and an alarm on that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarm import FINE, alarm
from infra.constructs.reasons import accept
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
        self.dead_letters = _set_aside(self, "DeadLetters", "Alarm", props)
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


def dead_letters(scope: Construct, queue_id: str, alarm_id: str, props: QueueProps) -> sqs.Queue:
    """For what is delivered by something else than a queue: where it goes when it cannot be, with the alarm."""
    queue = _set_aside(scope, queue_id, alarm_id, props)
    accept(queue, {"AwsSolutions-SQS3": "It is itself a dead-letter queue, with an alarm on the first message."})
    return queue


def _set_aside(scope: Construct, queue_id: str, alarm_id: str, props: QueueProps) -> sqs.Queue:
    """A queue for messages that were given up, and the alarm that tells of the first."""
    queue = sqs.Queue(
        scope,
        queue_id,
        encryption=sqs.QueueEncryption.KMS,
        encryption_master_key=props.key,
        enforce_ssl=True,
        retention_period=Duration.days(KEPT_DAYS),
    )
    alarm(
        scope,
        alarm_id,
        queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(1), statistic="Maximum"),
        settings=props.settings,
        operators=props.operators,
        text=f"Messages about {props.what} could not be worked on and were set aside.",
        runbook="dead-letters",
        missing=FINE,  # an idle queue reports nothing, and nothing in it is what is wanted
    )
    return queue
