"""Resource types of messages: policies of buckets, topics and queues, subscriptions, alarms, schedules."""

from __future__ import annotations

from typing import Any, Final

from vedette.local.cloud.resources import Kind, Made, Properties, Update, without


def _first_arn(made: Made, kind: str, name: str) -> str:
    return f"arn:aws:{kind}:{made.region}:{made.account}:{name}"


def _topic_policy(properties: Properties, _: str) -> dict[str, Any]:
    (topic,) = properties["Topics"]
    return {"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": properties["PolicyDocument"]}


def _queue_policy(properties: Properties, _: str) -> dict[str, Any]:
    (queue,) = properties["Queues"]
    return {"QueueUrl": queue, "Attributes": {"Policy": properties["PolicyDocument"]}}


def _subscription(properties: Properties, _: str) -> dict[str, Any]:
    settings = without(properties, "TopicArn", "Protocol", "Endpoint", "Region")
    return {
        "TopicArn": properties["TopicArn"],
        "Protocol": properties["Protocol"],
        "Endpoint": properties["Endpoint"],
        "Attributes": settings,
        "ReturnSubscriptionArn": True,
    }


def _alarm(properties: Properties, name: str) -> dict[str, Any]:
    return {"AlarmName": name, **properties}


def _schedule(properties: Properties, name: str) -> dict[str, Any]:
    return {"Name": name, **properties}


def _invoke_config(properties: Properties, _: str) -> dict[str, Any]:
    return properties


KINDS: Final = (
    Kind(
        "AWS::S3::BucketPolicy",
        "s3",
        "PutBucketPolicy",
        lambda properties, _: {"Bucket": properties["Bucket"], "Policy": properties["PolicyDocument"]},
        lambda made: str(made.request["Bucket"]),
        lambda client, made: client.delete_bucket_policy(Bucket=made.request["Bucket"]),
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::SNS::TopicPolicy",
        "sns",
        "SetTopicAttributes",
        _topic_policy,
        lambda made: f"{made.request['TopicArn']}/policy",
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::SNS::Subscription",
        "sns",
        "Subscribe",
        _subscription,
        lambda made: str(made.answer["SubscriptionArn"]),
        lambda client, made: client.unsubscribe(SubscriptionArn=made.answer["SubscriptionArn"]),
        attributes={"Arn": lambda made: str(made.answer["SubscriptionArn"])},
    ),
    Kind(
        "AWS::SQS::QueuePolicy",
        "sqs",
        "SetQueueAttributes",
        _queue_policy,
        lambda made: f"{made.request['QueueUrl']}/policy",
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::CloudWatch::Alarm",
        "cloudwatch",
        "PutMetricAlarm",
        _alarm,
        lambda made: str(made.request["AlarmName"]),
        lambda client, made: client.delete_alarms(AlarmNames=[made.request["AlarmName"]]),
        name="AlarmName",
        attributes={"Arn": lambda made: _first_arn(made, "cloudwatch", f"alarm:{made.request['AlarmName']}")},
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::CloudWatch::CompositeAlarm",
        "cloudwatch",
        "PutCompositeAlarm",
        _alarm,
        lambda made: str(made.request["AlarmName"]),
        lambda client, made: client.delete_alarms(AlarmNames=[made.request["AlarmName"]]),
        name="AlarmName",
        attributes={"Arn": lambda made: _first_arn(made, "cloudwatch", f"alarm:{made.request['AlarmName']}")},
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::Scheduler::Schedule",
        "scheduler",
        "CreateSchedule",
        _schedule,
        lambda made: str(made.request["Name"]),
        lambda client, made: client.delete_schedule(Name=made.request["Name"], **_group(made)),
        name="Name",
        attributes={"Arn": lambda made: str(made.answer["ScheduleArn"])},
        update=lambda client, _, request: client.update_schedule(**request),
    ),
    Kind(
        "AWS::Scheduler::ScheduleGroup",
        "scheduler",
        "CreateScheduleGroup",
        lambda properties, name: {"Name": name, **properties},
        lambda made: str(made.request["Name"]),
        lambda client, made: client.delete_schedule_group(Name=made.request["Name"]),
        name="Name",
        attributes={"Arn": lambda made: str(made.answer["ScheduleGroupArn"])},
    ),
    Kind(
        "AWS::Lambda::EventInvokeConfig",
        "lambda",
        "PutFunctionEventInvokeConfig",
        _invoke_config,
        lambda made: f"{made.request['FunctionName']}/{made.request['Qualifier']}",
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::Lambda::EventSourceMapping",
        "lambda",
        "CreateEventSourceMapping",
        lambda properties, _: without(properties, "Tags"),
        lambda made: str(made.answer["UUID"]),
        lambda client, made: client.delete_event_source_mapping(UUID=made.answer["UUID"]),
        attributes={"Id": lambda made: str(made.answer["UUID"])},
    ),
)


def _group(made: Made) -> dict[str, Any]:
    return {"GroupName": made.request["GroupName"]} if "GroupName" in made.request else {}
