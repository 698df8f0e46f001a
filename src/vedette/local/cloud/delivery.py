"""Handing a message to whatever an ARN names: a queue, a topic, a function, a state machine, a stream, a log group."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, Final

from vedette.local.cloud.world import World

#: Services whose ARNs can be delivered to.
TARGETS: Final = frozenset({"sqs", "sns", "lambda", "states", "firehose", "logs", "events"})


def deliver(world: World, arn: str, body: str, parameters: dict[str, Any] | None = None) -> None:
    """Hand a message over.

    Args:
        world: the sandbox.
        arn: of the target.
        body: the message.
        parameters: of the target, such as EventBridge's ``SqsParameters``.

    Raises:
        ValueError: nothing of this kind can be delivered to.
        botocore.exceptions.ClientError: the target does not exist, or refuses.
    """
    service, name = arn.split(":")[2], arn.split(":", 5)[5]
    if service == "sqs":
        group = (parameters or {}).get("SqsParameters", {}).get("MessageGroupId")
        extra = {"MessageGroupId": group} if group else {}
        url = world.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        world.client("sqs").send_message(QueueUrl=url, MessageBody=body, **extra)
    elif service == "sns":
        world.client("sns").publish(TopicArn=arn, Message=body)
    elif service == "lambda":
        world.client("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=body.encode())
    elif service == "states":
        world.client("stepfunctions").start_execution(stateMachineArn=arn, name=str(uuid.uuid4()), input=body)
    elif service == "firehose":
        stream = name.partition("/")[2]
        world.client("firehose").put_record(DeliveryStreamName=stream, Record={"Data": body.encode()})
    elif service == "logs":
        _log(world, name.removeprefix("log-group:").removesuffix(":*"), body)
    elif service == "events":
        event = json.loads(body)
        entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
        world.client("events").put_events(Entries=[entry | {"EventBusName": name.partition("/")[2]}])
    else:
        raise ValueError(f"The sandbox delivers nothing to {arn}; it can deliver to {', '.join(sorted(TARGETS))}.")


def _log(world: World, group: str, body: str) -> None:
    logs, stream = world.client("logs"), str(uuid.uuid4())
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    event = {"timestamp": int(time.time() * 1000), "message": body}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
