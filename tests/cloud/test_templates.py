"""All templates at once: what they were when somebody last looked, what CloudFormation takes, who may do what."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.conftest import EVERYTHING, resources, templates

GOLDEN = Path(__file__).parent / "golden"
#: All stacks.
CONCERNS = ("alerts", "deployments", "fleet", "models", "monitoring", "network", "storage")
#: Resources ``*`` in policies of roles, with the reason why AWS offers nothing narrower: (actions, reason).
ANY_RESOURCE: dict[frozenset[str], str] = {
    frozenset({"ecr:GetAuthorizationToken"}): "the token is of the registry as a whole",
    frozenset({"greengrass:ListComponents"}): "components are listed for the account or not at all",
    frozenset(
        {
            *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
            *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies"),
            *("logs:DescribeLogGroups", "xray:PutTraceSegments", "xray:PutTelemetryRecords"),
            *("xray:GetSamplingRules", "xray:GetSamplingTargets"),
        }
    ): "traces, and the delivery of a state machine's logs, are the account's and have no resource",
    frozenset({"cloudwatch:PutMetricData"}): "metrics are no resources; a condition limits it to our namespace",
    frozenset({"greengrass:CreateDeployment"}): "Greengrass has no resource for it; IoT statements beside it hold it",
    frozenset({"greengrass:CreateDeployment", "greengrass:ListDeployments"}): "the same, and listing has none either",
}


def normalised(template: dict[str, Any]) -> str:
    """The template without what changes with every change of a function's code."""
    text = json.dumps(template, indent=1, sort_keys=True)
    return re.sub(r"\b[0-9a-f]{64}\b", "HASH", text) + "\n"


@pytest.mark.parametrize("concern", CONCERNS)
def test_template_is_the_one_that_was_looked_at(concern: str) -> None:
    """``VEDETTE_GOLDEN=write`` writes them anew; look at the difference before it is committed."""
    path = GOLDEN / f"{concern}.json"
    found = normalised(templates(EVERYTHING)[concern])
    if os.environ.get("VEDETTE_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(found)
    assert path.is_file(), f"{path.name} is missing: VEDETTE_GOLDEN=write makes it"
    assert found == path.read_text(), f"{concern} changed: look at it, then VEDETTE_GOLDEN=write"


def test_every_stack_is_looked_at() -> None:
    assert sorted(templates(EVERYTHING)) == list(CONCERNS)
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == list(CONCERNS)


@pytest.mark.parametrize("concern", CONCERNS)
def test_cloudformation_would_take_it(concern: str, tmp_path: Path) -> None:
    from cfnlint.api import ManualArgs, lint

    text = json.dumps(templates(EVERYTHING)[concern])
    # W3005: the CDK writes down dependencies that references imply.
    found = lint(text, config=ManualArgs(regions=["eu-central-1", "us-east-1"], ignore_checks=["W3005"]))
    assert [f"{m.rule.id} {m.path}: {m.message}" for m in found] == []


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Statements of identity policies."""
    for name, one in template["Resources"].items():
        said = one.get("Properties", {})
        documents = [said["PolicyDocument"]] if one["Type"] in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} else []
        documents += [p["PolicyDocument"] for p in said.get("Policies", ()) if one["Type"] == "AWS::IAM::Role"]
        for document in documents:
            for statement in document["Statement"]:
                yield name, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_role_may_do_everything_with_anything() -> None:
    for concern, template in templates(EVERYTHING).items():
        for name, statement in statements(template):
            where = f"{concern}/{name}"
            assert statement["Effect"] == "Allow" or "Condition" in statement, where
            assert not {"NotAction", "NotResource"} & set(statement), where
            actions = as_list(statement["Action"])
            assert all(":" in action and not action.endswith(":*") for action in actions), (where, actions)
            if "*" in as_list(statement["Resource"]):
                assert frozenset(actions) in ANY_RESOURCE, (where, actions)


def test_every_reason_for_any_resource_is_needed() -> None:
    used = {
        frozenset(as_list(statement["Action"]))
        for template in templates(EVERYTHING).values()
        for _, statement in statements(template)
        if "*" in as_list(statement["Resource"])
    }
    assert used == set(ANY_RESOURCE)


def test_roles_are_for_services_of_this_account_only_and_bring_no_managed_policy() -> None:
    for concern, template in templates(EVERYTHING).items():
        for name, role in resources(template, "AWS::IAM::Role").items():
            assert "ManagedPolicyArns" not in role["Properties"], f"{concern}/{name}"
            for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
                assert set(statement["Principal"]) == {"Service"}, f"{concern}/{name}"


def test_functions_are_alike() -> None:
    found = 0
    for concern, template in templates(EVERYTHING).items():
        for name, one in resources(template, "AWS::Lambda::Function").items():
            said = one["Properties"]
            found += 1
            assert said["Runtime"] == "python3.14", f"{concern}/{name}"
            assert said["Architectures"] == ["arm64"], f"{concern}/{name}"
            assert said["LoggingConfig"]["LogGroup"], f"{concern}/{name}"
            assert said["Timeout"] <= 300, f"{concern}/{name}"
    if {"alerts", "fleet"} <= set(templates(EVERYTHING)):
        assert found


def test_logs_have_an_end_and_a_key() -> None:
    for concern, template in templates(EVERYTHING).items():
        for name, one in resources(template, "AWS::Logs::LogGroup").items():
            assert one["Properties"]["RetentionInDays"] == 30, f"{concern}/{name}"
            assert "KmsKeyId" in one["Properties"], f"{concern}/{name}"


def test_alarms_say_what_missing_data_means_and_where_to_read_on() -> None:
    runbooks = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text() if concerns_with_alarms() else ""
    anchors = {re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in runbooks.splitlines()
               if line.startswith("## ")}  # fmt: skip
    for concern, template in templates(EVERYTHING).items():
        for name, one in resources(template, "AWS::CloudWatch::Alarm").items():
            said = one["Properties"]
            assert "TreatMissingData" in said, f"{concern}/{name}"
            assert said["AlarmActions"], f"{concern}/{name}"
            linked = re.search(r"Runbook: docs/runbooks\.md#([a-z0-9-]+)", said["AlarmDescription"])
            assert linked, f"{concern}/{name}"
            assert linked[1] in anchors, f"{concern}/{name}: docs/runbooks.md has no section {linked[1]}"


def concerns_with_alarms() -> list[str]:
    return [c for c, template in templates(EVERYTHING).items() if resources(template, "AWS::CloudWatch::Alarm")]


def test_nothing_asks_an_account_to_trust_a_custom_resource() -> None:
    for concern, template in templates(EVERYTHING).items():
        kinds = {one["Type"] for one in template["Resources"].values()}
        assert not {k for k in kinds if k.startswith("Custom::") or k.endswith("CustomResource")}, concern
