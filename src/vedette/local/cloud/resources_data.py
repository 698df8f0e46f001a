"""Resource types of data: streams to S3, tables over it, saved queries, secrets, state machines."""

from __future__ import annotations

import json
from typing import Any, Final

from vedette.local.cloud.resources import (
    Kind,
    Made,
    Properties,
    Update,
    answered,
    lower_first,
    named,
    requested,
    tags_list,
    without,
)


def _stream(properties: Properties, name: str) -> dict[str, Any]:
    given = {"DeliveryStreamName": name, **properties}
    if "DeliveryStreamEncryptionConfigurationInput" in given:
        wanted = given["DeliveryStreamEncryptionConfigurationInput"]
        given["DeliveryStreamEncryptionConfigurationInput"] = {
            k: v for k, v in {"KeyARN": wanted.get("KeyARN"), "KeyType": wanted["KeyType"]}.items() if v
        }
    return given


def _machine(properties: Properties, name: str) -> dict[str, Any]:
    definition = properties.get("DefinitionString") or json.dumps(properties["Definition"])
    for key, value in (properties.get("DefinitionSubstitutions") or {}).items():
        definition = definition.replace(f"${{{key}}}", str(value))
    kept = lower_first(without(properties, "DefinitionString", "Definition", "DefinitionSubstitutions", "Tags"))
    kept.pop("stateMachineName", None)
    kind = kept.pop("stateMachineType", "STANDARD")
    return {**kept, "name": name, "definition": definition, "type": kind}


def _change_machine(client: Any, made: Made, request: Any) -> None:
    changes = without(dict(request), "name", "type")
    client.update_state_machine(stateMachineArn=made.answer["stateMachineArn"], **changes)


def _secret(properties: Properties, name: str) -> dict[str, Any]:
    given = {"Name": name, **without(properties, "GenerateSecretString", "Tags")}
    if "GenerateSecretString" in properties:
        import secrets

        given["SecretString"] = secrets.token_urlsafe(24)
    return given


def _table(properties: Properties, name: str) -> dict[str, Any]:
    wanted = {"Name": name.lower(), **properties["TableInput"]}
    return {"DatabaseName": properties["DatabaseName"], "TableInput": wanted}


def _database(properties: Properties, name: str) -> dict[str, Any]:
    return {"DatabaseInput": {"Name": name.lower(), **properties["DatabaseInput"]}}


def _work_group(properties: Properties, name: str) -> dict[str, Any]:
    given = without(properties, "WorkGroupConfiguration", "RecursiveDeleteOption", "State", "Tags")
    return {"Name": name, **given, "Configuration": properties.get("WorkGroupConfiguration", {})}


def _parameter(properties: Properties, name: str) -> dict[str, Any]:
    tags = tags_list(properties)
    return {"Name": name, **without(properties, "Tags"), "Tags": tags}


KINDS: Final = (
    # moto reads a template's tags of a parameter, a map, as a list.
    Kind(
        "AWS::SSM::Parameter",
        "ssm",
        "PutParameter",
        _parameter,
        requested("Name"),
        lambda client, made: client.delete_parameter(Name=made.request["Name"]),
        name="Name",
        attributes={
            "Value": requested("Value"),
            "Type": requested("Type"),
        },
        update=lambda client, _, request: client.put_parameter(**without(dict(request), "Tags"), Overwrite=True),
    ),
    Kind(
        "AWS::KinesisFirehose::DeliveryStream",
        "firehose",
        "CreateDeliveryStream",
        _stream,
        requested("DeliveryStreamName"),
        lambda client, made: client.delete_delivery_stream(DeliveryStreamName=made.request["DeliveryStreamName"]),
        name="DeliveryStreamName",
        attributes={"Arn": answered("DeliveryStreamARN")},
    ),
    Kind(
        "AWS::Glue::Database",
        "glue",
        "CreateDatabase",
        _database,
        requested("DatabaseInput", "Name"),
        lambda client, made: client.delete_database(Name=made.request["DatabaseInput"]["Name"]),
    ),
    Kind(
        "AWS::Glue::Table",
        "glue",
        "CreateTable",
        _table,
        requested("TableInput", "Name"),
        lambda client, made: client.delete_table(
            DatabaseName=made.request["DatabaseName"], Name=made.request["TableInput"]["Name"]
        ),
        update=lambda client, _, request: client.update_table(
            DatabaseName=request["DatabaseName"], TableInput=request["TableInput"]
        ),
    ),
    Kind(
        "AWS::Athena::WorkGroup",
        "athena",
        "CreateWorkGroup",
        _work_group,
        requested("Name"),
        lambda client, made: client.delete_work_group(WorkGroup=made.request["Name"], RecursiveDeleteOption=True),
        name="Name",
    ),
    Kind(
        "AWS::Athena::NamedQuery",
        "athena",
        "CreateNamedQuery",
        named("Name"),
        answered("NamedQueryId"),
        # moto has no DeleteNamedQuery: a query stays until the sandbox ends.
        attributes={"NamedQueryId": answered("NamedQueryId")},
        name="Name",
    ),
    Kind(
        "AWS::SecretsManager::Secret",
        "secretsmanager",
        "CreateSecret",
        _secret,
        answered("ARN"),
        lambda client, made: client.delete_secret(SecretId=made.answer["ARN"], ForceDeleteWithoutRecovery=True),
        name="Name",
        attributes={"Id": answered("ARN")},
    ),
    # Through the API: moto keeps what CloudFormation makes where the interpreter of state machines never looks.
    Kind(
        "AWS::StepFunctions::StateMachine",
        "stepfunctions",
        "CreateStateMachine",
        _machine,
        answered("stateMachineArn"),
        lambda client, made: client.delete_state_machine(stateMachineArn=made.answer["stateMachineArn"]),
        name="StateMachineName",
        attributes={
            "Arn": answered("stateMachineArn"),
            "Name": requested("name"),
        },
        update=_change_machine,
    ),
    Kind(
        "AWS::Logs::LogStream",
        "logs",
        "CreateLogStream",
        lambda properties, name: lower_first({"LogStreamName": name, **properties}),
        requested("logStreamName"),
        lambda client, made: client.delete_log_stream(
            logGroupName=made.request["logGroupName"], logStreamName=made.request["logStreamName"]
        ),
        name="LogStreamName",
    ),
    Kind(
        "AWS::Logs::MetricFilter",
        "logs",
        "PutMetricFilter",
        lambda properties, name: lower_first({"FilterName": name, **properties}),
        requested("filterName"),
        lambda client, made: client.delete_metric_filter(
            logGroupName=made.request["logGroupName"], filterName=made.request["filterName"]
        ),
        name="FilterName",
        update=Update.AGAIN,
    ),
)
