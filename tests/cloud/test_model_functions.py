"""The functions that models go through, and what they do with everything that can be wrong."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moto
import pytest
from botocore.exceptions import ClientError

from tests.cloud.model_account import ModelAccount, archive, throttled
from tests.cloud.models import CARD_YAML, ONNX
from vedette.contracts.errors import CloudError
from vedette.core.fleet.model_pack import MAX_RECIPE_BYTES

PYTORCH = (
    CARD_YAML.replace(b"framework: onnx\nopset: 17", b'framework: pytorch\nframework_version: "1.8"')
    .replace(b"parts.onnx", b"parts.pth")
    .replace(b"x86-64, jetson-orin", b"jetson-xavier, jetson-orin")
)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelAccount]:
    with moto.mock_aws():
        yield ModelAccount(monkeypatch)


def test_an_onnx_model_gets_one_plan_a_target(account: ModelAccount) -> None:
    account.upload(CARD_YAML, ONNX)
    answer = account.intake()
    assert [(one["target"], one["path"]) for one in answer["plans"]] == [("x86-64", "onnx"), ("jetson-orin", "onnx")]
    assert {state for state, _ in account.states().values()} == {"PACKING"}
    prefix = answer["plans"][0]["prefix"]
    assert {f"{prefix}model.yaml", f"{prefix}parts.onnx"} <= set(account.keys("models"))
    assert account.content("models", f"{prefix}parts.onnx") == ONNX
    assert hashlib.sha256(ONNX).hexdigest().encode() in account.content("models", f"{prefix}model.yaml")


def test_a_model_for_neo_gets_a_job_and_a_refusal_where_neo_does_not_list_it(account: ModelAccount) -> None:
    account.upload(PYTORCH, b"torch", name="parts.pth")
    (only,) = account.intake()["plans"]
    job = only["job"]
    assert job["InputConfig"]["Framework"] == "PYTORCH"
    assert job["OutputConfig"]["TargetDevice"] == "jetson_xavier"
    assert len(job["CompilationJobName"]) <= 63
    key = job["InputConfig"]["S3Uri"].removeprefix("s3://models/")
    with tarfile.open(fileobj=io.BytesIO(account.content("models", key))) as packed:
        assert packed.getnames() == ["parts.pth"]
    states = account.states()
    assert states["1.0.0#jetson-xavier"][0] == "COMPILING"
    assert states["1.0.0#jetson-orin"][0] == "REFUSED"
    assert "What would work: an export to ONNX" in states["1.0.0#jetson-orin"][1]
    assert [sent["state"] for sent in account.sent] == ["COMPILING", "REFUSED"]


def test_the_longest_names_make_a_job_name_that_sagemaker_takes(
    account: ModelAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "a" * 24)
    account.upload(PYTORCH, b"torch", name="parts.pth")
    name = account.intake(execution="e" * 80)["plans"][0]["job"]["CompilationJobName"]
    assert len(name) <= 63


@pytest.mark.parametrize(
    ("card", "file", "code", "words"),
    [
        (CARD_YAML, None, "V006", "incoming/parts/1.0.0/parts.onnx is not in the bucket"),
        (CARD_YAML, b"", "V006", "parts.onnx is empty"),
        (CARD_YAML, b"<html>", "V006", "parts.onnx is not a readable ONNX file"),
        (CARD_YAML.replace(b"yolox", b"yolo99"), ONNX, "V005", "model.yaml:6:9: error: family"),
        (CARD_YAML.replace(b"1.0.0", b"1.0.1"), ONNX, "V005", "is of parts 1.0.1, but was put below"),
        (CARD_YAML.replace(b"opset: 17", b"opset: 12"), ONNX, "V005", "`opset` is 12, the file's 17"),
        (CARD_YAML.replace(b"images:", b"data:"), ONNX, "V005", "no input 'data'; it has images; `inputs` lacks"),
        (CARD_YAML.replace(b"64, 64", b"32, 64"), ONNX, "V005", "[1, 3, 32, 64], the file's [1, 3, 64, 64]"),
        (CARD_YAML.replace(b"float32", b"uint8"), ONNX, "V005", "dtype` is uint8, the file's float32"),
        (CARD_YAML + b"sha256: " + b"a" * 64 + b"\n", ONNX, "V005", "model.yaml pins aaaa"),
    ],
)
def test_what_the_author_did_wrong_is_recorded_and_told(
    account: ModelAccount, card: bytes, file: bytes | None, code: str, words: str
) -> None:
    account.upload(card, file)
    assert account.intake()["plans"] == []
    state, reason = account.states()["1.0.0#all"]
    assert state == "REFUSED"
    assert reason.startswith(code)
    assert words in reason, reason
    assert account.sent[-1]["reason"] == reason


def test_a_corrected_upload_takes_the_refusal_away(account: ModelAccount) -> None:
    account.upload(CARD_YAML, None)
    account.intake()
    account.upload(CARD_YAML, ONNX)
    account.intake()
    assert sorted(account.states()) == ["1.0.0#jetson-orin", "1.0.0#x86-64"]


@pytest.mark.parametrize("operation", ["get_object", "put_item", "put_object", "put_events"])
def test_throttling_is_left_to_the_state_machine(account: ModelAccount, operation: str) -> None:
    account.upload(CARD_YAML, ONNX)
    account.failing[operation] = [throttled(operation)]
    with pytest.raises((ClientError, CloudError), match="Rate exceeded"):
        account.intake()
    assert len(account.intake()["plans"]) == 2


def test_an_event_about_something_else_is_not_taken_for_a_model(account: ModelAccount) -> None:
    with pytest.raises(CloudError) as caught:
        account.intake("unknown_object")
    assert caught.value.code == "V011"
    assert account.states() == {}


# --- training ---


def test_what_a_training_job_made_goes_the_way_of_an_upload(account: ModelAccount) -> None:
    output = archive(model__yaml=CARD_YAML, parts__onnx=ONNX)
    key = "trained/vedette-prod-parts-261127060000/output/model.tar.gz"
    account.s3.put_object(Bucket="models", Key=key, Body=output)
    assert account.intake("training_completed")["plans"] == []
    assert len(account.intake()["plans"]) == 2


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"no archive", "the training's output cannot be read"),
        (archive(parts__onnx=ONNX), "holds no model.yaml"),
        (archive(model__yaml=CARD_YAML), "holds no parts.onnx"),
        (archive(model__yaml=b"api: 1"), "model.yaml has"),
        (archive(model__yaml=CARD_YAML, parts__onnx=ONNX)[:-300], "the training's output cannot be read"),
    ],
)
def test_an_output_without_a_model_is_recorded(account: ModelAccount, output: bytes, words: str) -> None:
    key = "trained/vedette-prod-parts-261127060000/output/model.tar.gz"
    account.s3.put_object(Bucket="models", Key=key, Body=output)
    account.intake("training_completed")
    state, reason = account.states()["0.0.0#all"]
    assert state == "REFUSED"
    assert words in reason


# --- release ---


def plans(account: ModelAccount) -> list[dict[str, Any]]:
    account.upload(CARD_YAML, ONNX)
    found: list[dict[str, Any]] = account.intake()["plans"]
    return found


def test_a_release_makes_a_component_with_the_model_in_it(account: ModelAccount, tmp_path: Path) -> None:
    answer = account.call("release", plans(account)[0])
    assert answer["outcome"] == "RELEASED"
    recipe = account.greengrass.recipes["vedette.model.parts.x86-64", "1.0.0"]
    assert len(json.dumps(recipe)) < MAX_RECIPE_BYTES
    (manifest,) = recipe["Manifests"]
    assert manifest["Platform"] == {"os": "linux", "architecture": "amd64"}
    key = manifest["Artifacts"][0]["Uri"].removeprefix("s3://artefacts/")
    unpacked = tmp_path / "model"
    with zipfile.ZipFile(io.BytesIO(account.content("artefacts", key))) as packed:
        packed.extractall(unpacked)
    assert (unpacked / "parts.onnx").read_bytes() == ONNX
    script = manifest["Lifecycle"]["install"]["Script"].replace("{artifacts:decompressedPath}", str(tmp_path))
    script = script.replace("{configuration:/modelDirectory}", str(tmp_path / "store"))
    for _ in range(2):  # Greengrass installs again after a restart
        subprocess.run(["sh", "-c", script], check=True)
    entry = json.loads((tmp_path / "store/components/parts/entry.json").read_text())
    assert (tmp_path / "store/components/parts" / entry["sha256"] / entry["file"]).read_bytes() == ONNX
    assert account.states()["1.0.0#x86-64"][0] == "RELEASED"


def test_a_repeat_changes_nothing_and_other_content_needs_another_version(account: ModelAccount) -> None:
    one = plans(account)[0]
    for _ in range(2):
        assert account.call("release", one)["outcome"] == "RELEASED"
    assert len(account.greengrass.recipes) == 1
    account.upload(CARD_YAML.replace(b"good", b"fine"), ONNX)
    assert account.intake()["plans"] == []
    assert "raise `version` in model.yaml" in account.states()["1.0.0#all"][1]
    assert account.states()["1.0.0#x86-64"][0] == "RELEASED"


def test_a_component_that_somebody_else_made_is_not_taken_for_ours(account: ModelAccount) -> None:
    one = plans(account)[0]
    account.call("release", one)
    account.greengrass.recipes["vedette.model.parts.x86-64", "1.0.0"]["ComponentConfiguration"] = {}
    answer = account.call("release", one)
    assert answer["outcome"] == "REFUSED"
    assert "released already, with other content" in answer["reason"]
    assert account.states()["1.0.0#x86-64"][0] == "RELEASED"


def test_of_two_uploads_at_once_the_faster_stays_and_the_other_author_is_told(account: ModelAccount) -> None:
    first = plans(account)
    account.upload(CARD_YAML.replace(b"good", b"fine"), ONNX)
    second = account.intake(execution="run-2")["plans"]
    assert account.call("release", first[0])["outcome"] == "RELEASED"
    assert account.call("release", second[0])["outcome"] == "REFUSED"
    assert account.states()["1.0.0#x86-64"][0] == "RELEASED"
    assert "raise `version`" in account.states()["1.0.0#all"][1]


def test_a_finished_target_is_not_done_again(account: ModelAccount) -> None:
    account.call("release", plans(account)[0])
    assert [one["target"] for one in account.intake(execution="run-2")["plans"]] == ["jetson-orin"]


def test_a_component_that_greengrass_cannot_make_says_so(account: ModelAccount) -> None:
    account.greengrass.state = "FAILED"
    answer = account.call("release", plans(account)[0])
    assert answer["outcome"] == "FAILED"
    assert answer["reason"].startswith("V007 Greengrass could not make the component: no such artefact")


def test_throttling_by_greengrass_is_left_to_the_state_machine(account: ModelAccount) -> None:
    one = plans(account)[0]
    account.greengrass.refuse_with = [throttled("CreateComponentVersion")]
    with pytest.raises(ClientError, match="Rate exceeded"):
        account.call("release", one)
    assert account.call("release", one)["outcome"] == "RELEASED"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (None, "what Neo made cannot be read: compiled/out.tar.gz is not in the bucket"),
        (b"junk", "what Neo made cannot be read"),
        (archive(readme__txt=b"hello"), 'holds no compiled model: ["readme.txt"]'),
    ],
)
def test_what_neo_made_must_be_a_compiled_model(account: ModelAccount, made: bytes | None, words: str) -> None:
    account.upload(PYTORCH, b"torch", name="parts.pth")
    (one,) = account.intake()["plans"]
    if made is not None:
        account.s3.put_object(Bucket="models", Key="compiled/out.tar.gz", Body=made)
    answer = account.call("release", one | {"neo": neo("s3://models/compiled/out.tar.gz")})
    assert answer["outcome"] == "FAILED"
    assert words in answer["reason"]
    elsewhere = account.call("release", one | {"neo": neo("s3://other/compiled/out.tar.gz")})
    assert "another bucket" in elsewhere["reason"]


def test_what_neo_made_goes_to_the_device_with_its_description(account: ModelAccount, tmp_path: Path) -> None:
    account.upload(PYTORCH, b"torch", name="parts.pth")
    (one,) = account.intake()["plans"]
    made = archive(compiled__so=b"\x7fELF", compiled__params=b"1")
    account.s3.put_object(Bucket="models", Key="compiled/out.tar.gz", Body=made)
    assert account.call("release", one | {"neo": neo("s3://models/compiled/out.tar.gz")})["outcome"] == "RELEASED"
    (key,) = account.keys("artefacts")
    with zipfile.ZipFile(io.BytesIO(account.content("artefacts", key))) as packed:
        data = packed.read("compiled.tar.gz")
        assert json.loads(packed.read("entry.json"))["sha256"] == hashlib.sha256(data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(data)) as inner:
        assert sorted(inner.getnames()) == ["compiled.params", "compiled.so", "model.yaml"]
        member = inner.extractfile("model.yaml")
        assert member is not None
        assert b"targets: [jetson-xavier]" in member.read()


def neo(uri: str) -> dict[str, Any]:
    return {"CompilationJobStatus": "COMPLETED", "ModelArtifacts": {"S3ModelArtifacts": uri}}


# --- failure ---


@pytest.mark.parametrize(
    ("more", "reason", "broken"),
    [
        (
            {"neo": {"CompilationJobStatus": "FAILED", "FailureReason": "ClientError: InputConfiguration: no"}},
            "V007 SageMaker Neo: ClientError: InputConfiguration: no",
            False,
        ),
        (
            {"neo": {"CompilationJobStatus": "STOPPED", "FailureReason": ""}},
            "V007 SageMaker Neo: the job is STOPPED and says no reason",
            False,
        ),
        (
            {
                "error": {
                    "Error": "ClientError",
                    "Cause": '{"errorType": "ClientError", "errorMessage": "Access Denied"}',
                }
            },
            "V003 ClientError: Access Denied",
            True,
        ),
        ({"error": {"Error": "SageMaker.X", "Cause": "quota"}}, "V003 quota", True),
        ({"error": {"Error": "States.Timeout"}}, "V003 States.Timeout", True),
    ],
)
def test_a_failure_keeps_the_words_of_whoever_knows(
    account: ModelAccount, more: dict[str, Any], reason: str, broken: bool
) -> None:
    answer = account.call("failure", plans(account)[0] | more)
    assert answer == {"outcome": "BROKEN" if broken else "FAILED", "reason": reason}
    assert account.states()["1.0.0#x86-64"] == ("FAILED", reason)


def test_a_failure_does_not_undo_a_release_of_other_content(account: ModelAccount) -> None:
    one = plans(account)[0]
    account.call("release", one)
    late = one | {"source": "f" * 64, "error": {"Error": "States.Timeout"}}
    assert "released already" in account.call("failure", late)["reason"]
    assert account.states()["1.0.0#x86-64"][0] == "RELEASED"
