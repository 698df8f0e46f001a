"""What the functions of rollouts may do, and the state machine's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.conftest import EVERYTHING, resources, templates
from tests.cloud.iot_policy import ACCOUNT, REGION, allows, as_list, resolved
from vedette.contracts.account import ring_group
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.topics import RULE_COMPARISON, cloud_comparison


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    return templates(EVERYTHING)["deployments"]


def statements(stack: dict[str, Any], role: str) -> list[dict[str, Any]]:
    for name, policy in resources(stack, "AWS::IAM::Policy").items():
        if name.startswith(f"{role}RoleDefaultPolicy"):
            return list(resolved(policy["Properties"]["PolicyDocument"]["Statement"]))
    raise AssertionError(role)


def actions(said: list[dict[str, Any]], service: str) -> set[str]:
    return {a for s in said for a in as_list(s["Action"]) if a.startswith(f"{service}:")}


def test_a_step_deploys_to_rings_and_to_nothing_else(stack: dict[str, Any]) -> None:
    said = statements(stack, "Step")
    iot = f"arn:aws:iot:{REGION}:{ACCOUNT}"
    for fleet, ring in (("main", "canary"), ("north", "rest")):
        assert allows(said, "iot:CreateJob", f"{iot}:thinggroup/{ring_group(fleet, ring)}", thing="")
    for other in ("thinggroup/others", "thinggroup/vedette-main", "thinggroup/vedette-main-canary2", "thing/cam"):
        assert not allows(said, "iot:CreateJob", f"{iot}:{other}", thing=""), other
    assert actions(said, "greengrass") == {
        "greengrass:CreateDeployment",
        "greengrass:GetDeployment",
        "greengrass:ListDeployments",
        "greengrass:ListEffectiveDeployments",
    }
    assert actions(said, "dynamodb") == {
        f"dynamodb:{name}" for name in ("DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")
    }
    assert {a.partition(":")[0] for s in said for a in as_list(s["Action"])} == {
        *("dynamodb", "events", "greengrass", "iot", "kms", "logs", "sqs"),
    }


def test_a_step_may_ask_for_a_count_and_write_to_no_other_queue(stack: dict[str, Any]) -> None:
    (send,) = (s for s in statements(stack, "Step") if "sqs:SendMessage" in as_list(s["Action"]))
    assert as_list(send["Action"]) == ["sqs:SendMessage"]
    assert "sweepqueue" in str(send["Resource"])
    reads = [s for s in statements(stack, "Step") if "ringcounts" in str(s["Resource"])]
    assert [as_list(s["Action"]) for s in reads] == [["dynamodb:GetItem"]]
    (key,) = (s for s in statements(stack, "Step") if "messageskey" in str(s["Resource"]).lower())
    assert key["Condition"]["StringEquals"]["kms:ViaService"].startswith("sqs.")


def test_a_step_makes_log_groups_of_applications_only(stack: dict[str, Any]) -> None:
    said = statements(stack, "Step")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/greengrass/UserComponent/{REGION}"
    for action in ("logs:CreateLogGroup", "logs:PutRetentionPolicy"):
        assert allows(said, action, f"{group}/vedette.app.ppe", thing="")
        assert not allows(said, action, f"{group}/vedette.Alerting", thing="")
        assert not allows(said, action, f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/other", thing="")


def test_history_of_desired_states_is_added_to_and_never_changed(stack: dict[str, Any]) -> None:
    for role in ("Step", "Api", "Baseline"):
        for statement in statements(stack, role):
            if any("Desired" in str(resource) for resource in as_list(statement["Resource"])):
                assert set(as_list(statement["Action"])) == {"dynamodb:PutItem", "dynamodb:Query"}


def test_the_api_starts_this_machine_and_deploys_nothing(stack: dict[str, Any]) -> None:
    said = statements(stack, "Api")
    assert actions(said, "states") == {"states:StartExecution"}
    assert actions(said, "greengrass") == {"greengrass:DescribeComponent"}
    assert actions(said, "iot") == set()
    component = f"arn:aws:greengrass:{REGION}:{ACCOUNT}:components"
    assert allows(said, "greengrass:DescribeComponent", f"{component}:vedette.app.ppe:versions:1.0.0", thing="")
    assert not allows(said, "greengrass:DescribeComponent", f"{component}:other:versions:1.0.0", thing="")


def test_a_deployment_to_one_device_goes_by_its_shadow(stack: dict[str, Any]) -> None:
    device = f"arn:aws:iot:{REGION}:{ACCOUNT}:thing/cam"
    for action in ("DescribeThing", "GetThingShadow", "UpdateThingShadow", "DeleteThingShadow"):
        assert allows(statements(stack, "Step"), f"iot:{action}", device, thing="")
        assert not allows(statements(stack, "Baseline"), f"iot:{action}", device, thing="")
    assert not allows(statements(stack, "Step"), "iot:UpdateThing", device, thing="")


def test_reports_of_devices_become_items_of_comparisons_and_nothing_else(stack: dict[str, Any]) -> None:
    (rule,) = resources(stack, "AWS::IoT::TopicRule").values()
    payload = rule["Properties"]["TopicRulePayload"]
    assert rule["Properties"]["RuleName"] == RULE_COMPARISON
    sent = cloud_comparison("+").partition(f"{RULE_COMPARISON}/")[2]
    assert payload["Sql"] == f"SELECT *, topic(2) AS thing FROM '{sent}' WHERE isUndefined(thing)"
    assert "ComparisonQueue" in json.dumps(payload["Actions"])
    assert "DeadLetters" in json.dumps(payload["ErrorAction"])
    said = statements(stack, "ComparisonFunction")
    assert actions(said, "dynamodb") == {"dynamodb:GetItem", "dynamodb:PutItem"}
    (put,) = (one for one in said if "dynamodb:PutItem" in as_list(one["Action"]))
    assert put["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["comparison/*"]}}
    assert "Rollouts" in str(put["Resource"])
    (table,) = (
        one["Properties"]
        for name, one in resources(stack, "AWS::DynamoDB::Table").items()
        if name.startswith("Rollouts")
    )
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_every_way_out_of_the_machine_is_told_of(stack: dict[str, Any]) -> None:
    (machine,) = resources(stack, "AWS::StepFunctions::StateMachine").values()
    text = machine["Properties"]["DefinitionString"]["Fn::Join"][1]
    said = json.loads("".join(part if isinstance(part, str) else "REF" for part in text))
    states = said["States"]
    assert said["TimeoutSeconds"] > 7 * 86400
    for name in ("BeginRing", "CheckRing", "Finish"):
        assert states[name]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "RollBack"}]
    assert states["RollBack"]["Catch"][0]["Next"] == "NotRestored"
    assert {name for name, state in states.items() if state["Type"] == "Fail"} == {"RolledBack", "NotRestored"}
    for state in states.values():
        if state["Type"] == "Task":
            assert state["Retry"][0]["MaxAttempts"] == 8
    choices = {one["StringEquals"]: one["Next"] for one in states["WhatNext"]["Choices"]}
    assert choices == {"begin": "BeginRing", "wait": "LetDevicesWork", "finish": "Finish", "roll-back": "RollBack"}
    assert states["LetDevicesWork"] == {
        "Type": "Wait",
        "Comment": "As often as the policy says",
        "SecondsPath": "$.wait_s",
        "Next": "CheckRing",
    }


def test_words_of_the_machine_are_those_of_the_function(stack: dict[str, Any]) -> None:
    from lambdas.rollout_step.handler import Action
    from vedette.core.fleet.rollout import Next

    (machine,) = resources(stack, "AWS::StepFunctions::StateMachine").values()
    text = json.dumps(machine)
    for action in Action:
        assert f'\\"action\\":\\"{action}\\"' in text.replace("\\\\", "\\"), action
    for word in set(Next) - {Next.DONE}:
        assert f'\\"StringEquals\\":\\"{word}\\"' in text.replace("\\\\", "\\"), word


def test_two_groups_never_get_one_name() -> None:
    from infra.settings import read_settings

    for fleets in ([{"name": "a", "rings": ["b"]}, {"name": "a-b"}], [{"name": "a", "rings": ["b-c"]},
                   {"name": "a-b", "rings": ["c"]}]):  # fmt: skip
        with pytest.raises(ConfigurationError, match="two groups would be called 'vedette-a-b"):
            read_settings({"fleets": fleets})
