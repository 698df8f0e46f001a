"""The state machine of the template, walked from start to end with the real functions."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from moto.core.config import default_user_config
from moto.sagemaker.models import CompilationJob
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils

from tests.cloud.conftest import resources, templates
from tests.cloud.model_account import REGION, ModelAccount, archive, event, throttled
from tests.cloud.models import CARD_YAML, ONNX
from tests.cloud.test_model_functions import PYTORCH
from vedette.core.fleet.neo import check_compilation_job

COMPILED = archive(compiled__so=b"\x7fELF", compiled__params=b"1", dlr__h=b"")


def definition() -> dict[str, Any]:
    """As in the template, but that waiting takes no time."""
    (machine,) = resources(templates()["models"], "AWS::StepFunctions::StateMachine").values()
    text = ""
    for part in machine["Properties"]["DefinitionString"]["Fn::Join"][1]:
        if isinstance(part, str):
            text += part
        elif part == {"Ref": "AWS::Partition"}:
            text += "aws"
        else:
            name = part["Fn::GetAtt"][0]
            text += "arn:aws:iam::123456789012:role/compile" if "Role" in name else name
    document: dict[str, Any] = json.loads(re.sub(r'"Seconds":\d+', '"Seconds":0', text))
    return document


class Functions:
    """AWS Lambda: runs the real functions."""

    def __init__(self, account: ModelAccount) -> None:
        self._account = account
        self.called: list[str] = []

    def invoke(self, FunctionName: str, Payload: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        function = next(name for name in ("intake", "release", "failure") if name in FunctionName.lower())
        self.called.append(function)
        try:
            answer: Any = self._account.call(function, json.loads(Payload))
        except Exception as error:  # noqa: BLE001 - what Lambda does with whatever a function raises
            answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(answer).encode())}
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode())}


class Neo:
    """Compilation jobs: checked against what Neo lists; what they make lies in the bucket."""

    def __init__(self, account: ModelAccount, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.reason = ""
        self.looks = 0
        self.refuse_with: list[ClientError] = []
        original = CompilationJob.__init__
        neo = self

        def make(job: Any, *arguments: Any, **named: Any) -> None:
            if neo.refuse_with:
                from moto.core.exceptions import ServiceException

                error = neo.refuse_with.pop(0).response["Error"]
                raised = ServiceException(error["Message"])
                raised.code = error["Code"]
                raise raised
            original(job, *arguments, **named)
            request = {"InputConfig": named["input_config"], "OutputConfig": named["output_config"]}
            neo.jobs.append(request | {"Name": named["compilation_job_name"], "Role": named["role_arn"]})
            reason = neo.reason or check_compilation_job(request)
            job.compilation_job_status = "FAILED" if reason else "COMPLETED"
            job.failure_reason = reason or ""
            uri = named["output_config"]["S3OutputLocation"] + "parts-LINUX.tar.gz"
            account.s3.put_object(Bucket="models", Key=uri.removeprefix("s3://models/"), Body=COMPILED)
            job.model_artifacts = {"S3ModelArtifacts": uri}

        def describe(job: Any) -> dict[str, Any]:
            neo.looks += 1
            found: dict[str, Any] = described(job)
            return found | ({"CompilationJobStatus": "INPROGRESS"} if neo.looks == 1 else {})

        described = CompilationJob.describe
        monkeypatch.setattr(CompilationJob, "__init__", make)
        monkeypatch.setattr(CompilationJob, "describe", describe)


class Walk:
    """An account with the state machine in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(default_user_config["stepfunctions"], "execute_state_machine", True)
        self.account = ModelAccount(monkeypatch)
        self.functions = Functions(self.account)
        self.neo = Neo(self.account, monkeypatch)
        monkeypatch.setattr(lambda_eval_utils, "boto_client_for", lambda **_: self.functions)
        monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None))
        self._client = boto3.client("stepfunctions", region_name=REGION)
        made = self._client.create_state_machine(
            name="models", definition=json.dumps(definition()), roleArn="arn:aws:iam::123456789012:role/machine"
        )
        self._machine = made["stateMachineArn"]

    def run(self, name: str = "run-1") -> str:
        """Start with an upload; how it ended."""
        arn = self._client.start_execution(
            stateMachineArn=self._machine, name=name, input=json.dumps(event("model_uploaded"))
        )["executionArn"]
        for _ in range(3000):
            said = self._client.describe_execution(executionArn=arn)
            if said["status"] != "RUNNING":
                return str(said["status"])
            _tick()
        raise AssertionError("the execution does not end")


def _tick() -> None:
    """moto runs executions in threads of its own and offers nothing to wait for."""
    import time

    time.sleep(0.01)


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Walk]:
    with moto.mock_aws():
        yield Walk(monkeypatch)


def test_an_onnx_model_becomes_a_component_for_each_target(walk: Walk) -> None:
    walk.account.upload(CARD_YAML, ONNX)
    assert walk.run() == "SUCCEEDED"
    assert {state for state, _ in walk.account.states().values()} == {"RELEASED"}
    assert sorted(walk.account.greengrass.recipes) == [
        ("vedette.model.parts.jetson-orin", "1.0.0"),
        ("vedette.model.parts.x86-64", "1.0.0"),
    ]
    assert walk.neo.jobs == []


def test_a_model_for_xavier_is_compiled_and_becomes_a_component(walk: Walk) -> None:
    walk.account.upload(PYTORCH, b"torch", name="parts.pth")
    assert walk.run() == "SUCCEEDED"
    (job,) = walk.neo.jobs
    assert job["Role"].endswith("role/compile")
    assert walk.neo.looks > 1
    assert walk.account.states()["1.0.0#jetson-xavier"][0] == "RELEASED"
    assert walk.account.states()["1.0.0#jetson-orin"][0] == "REFUSED"
    assert walk.functions.called == ["intake", "release"]


def test_the_reason_of_neo_reaches_the_author_and_nobody_is_woken(walk: Walk) -> None:
    walk.neo.reason = "ClientError: OperatorNotImplemented: aten::grid_sampler"
    walk.account.upload(PYTORCH, b"torch", name="parts.pth")
    assert walk.run() == "SUCCEEDED"
    assert walk.account.states()["1.0.0#jetson-xavier"] == ("FAILED", f"V007 SageMaker Neo: {walk.neo.reason}")


def test_a_second_try_makes_a_second_job(walk: Walk) -> None:
    walk.neo.reason = "InternalServerError"
    walk.account.upload(PYTORCH, b"torch", name="parts.pth")
    walk.run()
    walk.neo.reason = ""
    assert walk.run("run-2") == "SUCCEEDED"
    assert len({job["Name"] for job in walk.neo.jobs}) == 2
    assert walk.account.states()["1.0.0#jetson-xavier"][0] == "RELEASED"


def test_throttled_functions_are_called_again(walk: Walk) -> None:
    walk.account.upload(CARD_YAML, ONNX)
    walk.account.failing["put_item"] = [throttled("PutItem")]
    walk.account.greengrass.refuse_with = [throttled("CreateComponentVersion")] * 2
    assert walk.run() == "SUCCEEDED"
    assert {state for state, _ in walk.account.states().values()} == {"RELEASED"}
    assert walk.functions.called.count("release") == 4


def test_what_breaks_fails_the_execution_after_the_other_targets_are_done(walk: Walk) -> None:
    walk.account.upload(CARD_YAML.replace(b"x86-64, jetson-orin", b"x86-64"), ONNX)
    walk.account.greengrass.refuse_with = [throttled("CreateComponentVersion")] * 6
    assert walk.run() == "FAILED"
    state, reason = walk.account.states()["1.0.0#x86-64"]
    assert state == "FAILED"
    assert reason.startswith("V003 ClientError: An error occurred (ThrottlingException)")


def test_a_mistake_of_the_author_ends_well(walk: Walk) -> None:
    walk.account.upload(CARD_YAML, None)
    assert walk.run() == "SUCCEEDED"
    assert walk.functions.called == ["intake"]
    assert walk.account.states()["1.0.0#all"][0] == "REFUSED"


def test_an_intake_that_breaks_fails_the_execution(walk: Walk) -> None:
    walk.account.upload(CARD_YAML, ONNX)
    walk.account.failing["get_object"] = [throttled("GetObject")] * 6
    assert walk.run() == "FAILED"
