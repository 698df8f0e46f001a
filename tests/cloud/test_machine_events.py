"""Events of the functions that state machines call: the files say what the machines send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moto
import pytest

from tests.cloud.conftest import EVERYTHING, resources, templates
from tests.cloud.model_account import ModelAccount
from tests.cloud.models import CARD_YAML, ONNX
from vedette.contracts.model_record import ModelState

EVENTS = Path(__file__).parent / "events"


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


def tasks(states: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Steps that call something, those within a map included."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield name, state["Parameters"]
        elif state["Type"] == "Map":
            yield from tasks(state["ItemProcessor"]["States"])


def definition(concern: str) -> dict[str, Any]:
    (machine,) = resources(templates(EVERYTHING)[concern], "AWS::StepFunctions::StateMachine").values()
    parts = machine["Properties"]["DefinitionString"]["Fn::Join"][1]
    found: dict[str, Any] = json.loads("".join(part if isinstance(part, str) else "REF" for part in parts))
    return found


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelAccount]:
    with moto.mock_aws():
        yield ModelAccount(monkeypatch)


def test_every_step_of_a_rollout_gets_what_the_file_holds() -> None:
    steps = dict(tasks(definition("deployments")["States"]))
    sent = event("rollout_step")
    assert {step["Payload"]["action"] for step in steps.values()} >= {"begin", "check", "finish", sent["action"]}
    for name, step in steps.items():
        assert {key.removesuffix(".$") for key in step["Payload"]} == set(sent), name


def test_release_and_failure_get_a_plan_and_what_came_of_it(account: ModelAccount) -> None:
    payloads = {name: step.get("Payload.$") for name, step in tasks(definition("models")["States"])}
    assert payloads["Release"] == payloads["RecordFailure"] == "$"
    account.upload(CARD_YAML, ONNX)
    plan = next(one for one in account.intake()["plans"] if one["target"] == "x86-64")
    assert event("model_release") == plan
    assert event("model_failure") == {**plan, "error": event("model_failure")["error"]}


def test_a_release_and_a_failure_as_the_files_say(account: ModelAccount) -> None:
    from lambdas.model_failure import handler as failure
    from lambdas.model_release import handler as release

    account.upload(CARD_YAML, ONNX)
    account.intake()
    assert failure.handle(event("model_failure"), None)["reason"].endswith("TooManyRequestsException: Rate exceeded")
    assert account.states()["1.0.0#x86-64"][0] == ModelState.FAILED.value
    assert release.handle(event("model_release"), None)["outcome"] == ModelState.RELEASED.value
    assert account.states()["1.0.0#x86-64"][0] == ModelState.RELEASED.value


def test_a_report_as_the_file_says() -> None:
    from lambdas.common.batch import records
    from lambdas.comparison.handler import read

    (record,) = records(event("comparison"))
    report = read(record)
    assert (report.device, report.version, report.labels["person"].running_objects) == ("edge-1", "2.0.0", 60)


def test_every_function_has_a_file() -> None:
    folders = {path.parent.name for path in (EVENTS.parents[2] / "lambdas").glob("*/handler.py")}
    files = {path.stem for path in EVENTS.glob("*.json")}
    others = {
        "ledger": "ledger-alert",
        "insights": "insights-report",
        "presence": "presence-connected",
        "model_intake": "model_uploaded",
        "rollout_api": "rollout_start",
        "ring_baseline": "stack_is_there",
    }
    assert {others.get(folder, folder) for folder in folders} <= files
