"""What the stack of models permits, and what it starts and tells."""

from __future__ import annotations

import json
from typing import Any

from tests.cloud.conftest import resources, templates


def template() -> dict[str, Any]:
    return templates()["models"]


def statements(role: str) -> list[dict[str, Any]]:
    """Of the one role whose name begins so."""
    found: list[dict[str, Any]] = []
    for policy in resources(template(), "AWS::IAM::Policy").values():
        if policy["Properties"]["Roles"][0]["Ref"].startswith(role):
            found += policy["Properties"]["PolicyDocument"]["Statement"]
    assert found, role
    return found


def actions(role: str) -> set[str]:
    found: set[str] = set()
    for statement in statements(role):
        said = statement["Action"]
        found |= {said} if isinstance(said, str) else set(said)
    return found


def places(role: str, action: str) -> str:
    return json.dumps([s["Resource"] for s in statements(role) if action in s["Action"]])


def test_the_state_machine_passes_one_role_to_sagemaker_and_to_nobody_else() -> None:
    (passing,) = [s for s in statements("WayMachine") if "iam:PassRole" in s["Action"]]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert passing["Resource"]["Fn::GetAtt"][0].startswith("CompileRole")
    jobs = [s for s in statements("WayMachine") if "sagemaker:createCompilationJob" in s["Action"]]
    assert "compilation-job/vedette-prod-*" in json.dumps(jobs[0]["Resource"])


def test_jobs_read_and_write_below_their_prefixes_only() -> None:
    for role, read, write in (
        ("CompileRole", ("jobs/*",), "compiled/*"),
        ("TrainingRole", ("code/*", "datasets/*"), "trained/*"),
    ):
        got, put = places(role, "s3:GetObject"), places(role, "s3:PutObject")
        assert [
            prefix for prefix in ("jobs/*", "code/*", "datasets/*", "incoming/*", "compiled/*") if prefix in got
        ] == list(read)
        assert write in put
        assert put.count("/*") == 1
        assert "s3:DeleteObject" not in actions(role)
        (trusts,) = [r for n, r in resources(template(), "AWS::IAM::Role").items() if n.startswith(role)]
        (trust,) = trusts["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_only_the_release_makes_components_and_only_of_models() -> None:
    assert "greengrass:CreateComponentVersion" not in actions("IntakeRole") | actions("FailureRole")
    assert "components:vedette.model.*" in places("ReleaseRole", "greengrass:CreateComponentVersion")
    assert "models/*" in places("ReleaseRole", "s3:PutObject")
    assert actions("FailureRole") == {
        *("dynamodb:PutItem", "events:PutEvents", "kms:Decrypt", "kms:DescribeKey"),
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    }


def test_uploads_and_trainings_start_it_and_what_cannot_be_started_is_kept() -> None:
    rules = resources(template(), "AWS::Events::Rule")
    patterns = [rule["Properties"]["EventPattern"] for rule in rules.values()]
    uploaded, trained = sorted(patterns, key=lambda pattern: pattern["source"][0])
    assert uploaded["detail"]["object"]["key"] == [{"wildcard": "incoming/*/*/model.yaml"}]
    assert trained["detail"]["TrainingJobName"] == [{"prefix": "vedette-prod-"}]
    for rule in rules.values():
        (target,) = rule["Properties"]["Targets"]
        assert target["DeadLetterConfig"]
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 20


def test_what_breaks_raises_an_alarm() -> None:
    metrics = {alarm["Properties"]["MetricName"] for alarm in resources(template(), "AWS::CloudWatch::Alarm").values()}
    assert metrics == {"ExecutionsFailed", "ExecutionsTimedOut", "ApproximateNumberOfMessagesVisible"}


def test_the_command_line_finds_what_it_needs() -> None:
    names = {one["Properties"]["Name"] for one in resources(template(), "AWS::SSM::Parameter").values()}
    assert {n.rpartition("/")[2] for n in names} == {
        "models-table",
        "models-machine",
        "models-training-role",
        "models-key",
    }
