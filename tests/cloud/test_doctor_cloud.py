"""``vedette doctor --cloud``: says what is missing, and what to type."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from tests.cloud.test_templates import CONCERNS
from vedette.cli import doctor_cloud
from vedette.cli.doctor_checks import Check
from vedette.contracts.account import stack


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


def found(stage: str = "prod") -> dict[str, Check]:
    return {check.name: check for check in doctor_cloud.run_cloud_checks(stage)}


def deploy(name: str) -> None:
    template = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    boto3.client("cloudformation", region_name="eu-central-1").create_stack(StackName=name, TemplateBody=template)


@pytest.mark.usefixtures("account")
def test_an_account_that_nothing_was_done_to() -> None:
    checks = found()
    assert checks["AWS account"].state == "ok"
    assert "123456789012 in eu-central-1" in checks["AWS account"].found
    assert (checks["bootstrap"].state, checks["bootstrap"].advice) == (
        "fail",
        "vedette cloud cdk bootstrap aws://123456789012/eu-central-1",
    )
    assert (checks["stacks"].state, checks["stacks"].advice) == ("optional", "vedette cloud cdk deploy --all")
    assert checks["IoT endpoint"].found.endswith(".iot.eu-central-1.amazonaws.com")
    assert checks["fleet index"].state in {"optional", "warn"}


@pytest.mark.usefixtures("account")
def test_an_old_bootstrap_and_half_of_the_stacks() -> None:
    ssm = boto3.client("ssm", region_name="eu-central-1")
    ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="5", Type="String")
    deploy(stack("prod", "storage"))
    checks = found()
    assert (checks["bootstrap"].state, checks["bootstrap"].found) == ("fail", "version 5")
    assert checks["stacks"].state == "warn"
    assert "vedette-prod-fleet" in checks["stacks"].found
    assert "vedette-prod-storage" not in checks["stacks"].found


@pytest.mark.usefixtures("account")
def test_a_ready_account_and_another_stage() -> None:
    ssm = boto3.client("ssm", region_name="eu-central-1")
    ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="28", Type="String")
    for concern in doctor_cloud._CONCERNS:
        deploy(stack("prod", concern))
    assert found()["bootstrap"].state == found()["stacks"].state == "ok"
    assert found("test")["stacks"].state == "optional"


def test_no_region_and_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert found()["AWS account"].found == "no AWS region is set."
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    alone = found()["AWS account"]
    assert (alone.state, "localhost:1" in alone.found) == ("fail", True)
    assert "bootstrap" not in found()


def test_the_cdk_that_npm_brings_by_itself_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/somewhere/{name}")
    monkeypatch.setattr(doctor_cloud, "_output", lambda command: "3.0.0 (build abc)")
    check = doctor_cloud._cdk()
    assert (check.state, check.found) == ("warn", "3.0.0; tried out was 2.1148.1")
    assert "vedette cloud cdk" in check.advice


def test_the_stacks_that_are_looked_for_are_those_that_there_always_are() -> None:
    assert set(doctor_cloud._CONCERNS) == {concern for concern in CONCERNS if concern != "network"}
