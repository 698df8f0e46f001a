"""Resource types of messages: policies of buckets, topics and queues, subscriptions, alarms, schedules."""

from __future__ import annotations

from typing import Any, Final

from vedette.local.cloud.resources import Kind, Made, Properties, Update, answered, arn, named, requested, without


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


KINDS: Final = (
    Kind(
        "AWS::S3::BucketPolicy",
        "s3",
        "PutBucketPolicy",
        lambda properties, _: {"Bucket": properties["Bucket"], "Policy": properties["PolicyDocument"]},
        requested("Bucket"),
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
        answered("SubscriptionArn"),
        lambda client, made: client.unsubscribe(SubscriptionArn=made.answer["SubscriptionArn"]),
        attributes={"Arn": answered("SubscriptionArn")},
    ),
    Kind(
        "AWS::SQS::QueuePolicy",
        "sqs",
        "SetQueueAttributes",
        _queue_policy,
        lambda made: f"{made.request['QueueUrl']}/policy",
        update=Update.AGAIN,
    ),
    *(
        Kind(
            kind,
            "cloudwatch",
            operation,
            named("AlarmName"),
            requested("AlarmName"),
            lambda client, made: client.delete_alarms(AlarmNames=[made.request["AlarmName"]]),
            name="AlarmName",
            attributes={"Arn": lambda made: arn(made, "cloudwatch", f"alarm:{made.request['AlarmName']}")},
            update=Update.AGAIN,
        )
        for kind, operation in (
            ("AWS::CloudWatch::Alarm", "PutMetricAlarm"),
            ("AWS::CloudWatch::CompositeAlarm", "PutCompositeAlarm"),
        )
    ),
    Kind(
        "AWS::Scheduler::Schedule",
        "scheduler",
        "CreateSchedule",
        named("Name"),
        requested("Name"),
        lambda client, made: client.delete_schedule(Name=made.request["Name"], **_group(made)),
        name="Name",
        attributes={"Arn": answered("ScheduleArn")},
        update=lambda client, _, request: client.update_schedule(**request),
    ),
    Kind(
        "AWS::Scheduler::ScheduleGroup",
        "scheduler",
        "CreateScheduleGroup",
        named("Name"),
        requested("Name"),
        lambda client, made: client.delete_schedule_group(Name=made.request["Name"]),
        name="Name",
        attributes={"Arn": answered("ScheduleGroupArn")},
    ),
    Kind(
        "AWS::Lambda::EventInvokeConfig",
        "lambda",
        "PutFunctionEventInvokeConfig",
        lambda properties, _: properties,
        lambda made: f"{made.request['FunctionName']}/{made.request['Qualifier']}",
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::Lambda::EventSourceMapping",
        "lambda",
        "CreateEventSourceMapping",
        lambda properties, _: without(properties, "Tags"),
        answered("UUID"),
        lambda client, made: client.delete_event_source_mapping(UUID=made.answer["UUID"]),
        attributes={"Id": answered("UUID")},
    ),
)


def _group(made: Made) -> dict[str, Any]:
    return {"GroupName": made.request["GroupName"]} if "GroupName" in made.request else {}
