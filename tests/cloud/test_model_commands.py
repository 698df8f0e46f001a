"""``vedette model inspect|compile|train|status``, without an account and with one."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest

from tests.cloud.model_account import ModelAccount, event
from tests.cloud.models import CARD_YAML, ONNX
from tests.conftest import REPOSITORY
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.models import BEGIN_LIMIT_S, CloudModels
from vedette.adapters.aws.training import CloudTraining, TrainingRequest, pack_program, training_image
from vedette.adapters.models.store import ModelStore
from vedette.cli.main import main
from vedette.contracts.errors import CloudError, UsageError
from vedette.contracts.model_card import Target
from vedette.core.fleet.model_yaml import parse_model_card

TRAIN = """
import argparse, os, pathlib, shutil, sys
p = argparse.ArgumentParser()
p.add_argument("--epochs", type=int)
a = p.parse_args()
here = pathlib.Path(__file__).parent
data = pathlib.Path(os.environ["SM_CHANNEL_TRAINING"]) if "SM_CHANNEL_TRAINING" in os.environ else here
print("epochs", a.epochs, flush=True)
if a.epochs == 0:
    sys.exit("no epochs, no model")
out = pathlib.Path(os.environ["SM_MODEL_DIR"])
shutil.copy(data / "weights.onnx", out / "parts.onnx")
shutil.copy(here / "model.yaml", out / "model.yaml")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "parts"
    made.mkdir()
    (made / "model.yaml").write_bytes(CARD_YAML)
    (made / "parts.onnx").write_bytes(ONNX)
    return made


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelAccount]:
    with moto.mock_aws():
        made = ModelAccount(monkeypatch)
        ssm = boto3.client("ssm", region_name="eu-central-1")
        for key, value in {
            "models-bucket": "models",
            "models-table": "Models",
            "models-training-role": "arn:aws:iam::123456789012:role/training",
            "models-key": "arn:aws:kms:eu-central-1:123456789012:key/1",
        }.items():
            ssm.put_parameter(Name=f"/vedette/prod/{key}", Value=value, Type="String")
        yield made


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["model", *arguments])
    return int(ended.value.code or 0)


# --- inspect ---


def test_inspect_describes_a_bare_file_and_writes_a_fitting_model_yaml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "My-Net.onnx"
    file.write_bytes(ONNX)
    assert run("inspect", str(file)) == 0
    shown = capsys.readouterr().out
    assert "images  float32 [1, 3, 64, 64]" in shown
    assert "yolox (by its tensors)" in shown
    assert "name: my-net" in shown
    file = file.rename(tmp_path / "net.onnx")
    assert run("inspect", str(file), "--write", "--version", "2.0.0") == 0
    card = parse_model_card((tmp_path / "model.yaml").read_bytes(), "model.yaml")
    assert (card.name, card.version, card.labels) == ("net", "2.0.0", ("class_0", "class_1"))
    assert run("inspect", str(file), "--write") == 1
    assert "is there already" in capsys.readouterr().err


def test_inspect_says_for_every_target_whether_it_can_run_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(folder), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    ways = {one["target"]: one["way"] for one in document["targets"]}
    assert set(ways) == {target.value for target in Target}
    assert (ways["x86-64"], ways["jetson-nano"]) == ("onnx", "refused")
    assert document["model_yaml"]["name"] == "parts"


def test_inspect_of_the_examples_model_agrees_with_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(REPOSITORY / "examples" / "quality_control"), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["family"] == document["model_yaml"]["family"] == "detr"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("a.onnx", b"", "V301"), ("a.onnx", b"<html>", "V006"), ("missing.onnx", None, "V301")],
)
def test_inspect_refuses_what_is_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert run("inspect", str(tmp_path / name), "--json") == 1
    assert json.loads(capsys.readouterr().err)["error"]["code"] == code


def test_a_file_of_another_framework_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04")
    assert run("inspect", str(tmp_path / "net.pth")) == 0
    assert "by hand" in capsys.readouterr().out
    assert run("inspect", str(tmp_path / "net.pth"), "--write") == 1


# --- compile on this machine ---


def test_compile_locally_checks_stores_and_packs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    assert run("compile", str(folder), "--local", "--store", str(store), "--out", str(out)) == 0
    assert "parts 1.0.0: " in capsys.readouterr().out
    assert ModelStore(store).read("parts") == ONNX
    with zipfile.ZipFile(out / "parts-1.0.0-jetson-orin.zip") as packed:
        assert packed.read("parts.onnx") == ONNX
        assert sorted(packed.namelist()) == ["LICENCE.txt", "entry.json", "install.sh", "model.yaml", "parts.onnx"]


def test_compile_refuses_before_anything_is_uploaded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", str(folder), "-t", "jetson-nano") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "V006" in said
    assert "What would work:" in said


def test_a_mistyped_name_is_not_taken_for_the_model_beside_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", str(folder / "prats.onnx"), "--local") == 1
    assert "V301" in (said := capsys.readouterr().err)
    assert "prats.onnx" in said


def test_compile_wants_a_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(ONNX)
    assert run("compile", str(tmp_path / "net.onnx"), "--local") == 1
    assert "vedette model inspect" in " ".join(capsys.readouterr().err.split())


# --- compile in the account ---


def test_compile_in_the_account_follows_to_the_release(
    folder: Path, account: ModelAccount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans: list[dict[str, Any]] = []

    def take_in() -> None:
        plans.extend(account.intake()["plans"])

    def release() -> None:
        account.call("release", plans.pop())

    def nothing() -> None:
        return

    steps: Iterator[Callable[[], None]] = iter([take_in, release, release])
    monkeypatch.setattr("vedette.adapters.aws.models.time.sleep", lambda _: None)
    original = CloudModels.records

    def records(self: CloudModels, name: str = "", version: str = "") -> Any:
        found = original(self, name, version)
        next(steps, nothing)()
        return found

    monkeypatch.setattr(CloudModels, "records", records)
    assert run("compile", str(folder), "--wait", "--json") == 0
    shown = capsys.readouterr()
    end = json.loads(shown.out[shown.out.index('[{"model"') :].splitlines()[0])
    assert {record["state"] for record in end} == {"RELEASED"}
    assert "jetson-orin: packing" in shown.err
    assert "jetson-orin: released" in shown.err


def test_a_refusal_by_the_account_is_an_exit_code(
    folder: Path, account: ModelAccount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = CloudModels.records

    def records(self: CloudModels, name: str = "", version: str = "") -> Any:
        account.s3.delete_object(Bucket="models", Key="incoming/parts/1.0.0/parts.onnx")
        account.intake()
        return original(self, name, version)

    monkeypatch.setattr(CloudModels, "records", records)
    assert run("compile", str(folder), "--wait") == 1
    assert "is not in the bucket" in " ".join(capsys.readouterr().err.split())


def test_waiting_ends_where_nothing_begins(account: ModelAccount) -> None:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    models = CloudModels(Account(region="eu-central-1"), sleep=sleep, monotonic=lambda: clock[0])
    with pytest.raises(CloudError, match="was not taken in after") as caught:
        list(models.follow("parts", "1.0.0", (Target.X86_64,), models.now()))
    assert caught.value.code == "V007"
    assert clock[0] >= BEGIN_LIMIT_S


def test_status_shows_reasons_and_knows_what_is_not_there(
    folder: Path, account: ModelAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status") == 0
    assert "no model yet" in capsys.readouterr().out
    account.upload(CARD_YAML, None)
    account.intake()
    assert run("status", "parts", "--json") == 0
    (record,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (record["state"], record["version"]) == ("REFUSED", "1.0.0")
    assert run("status", "other") == 1
    assert "knows no model 'other'" in " ".join(capsys.readouterr().err.split())


def test_an_account_without_the_stacks_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with moto.mock_aws():
        assert run("compile", str(folder)) == 1
    assert "cdk deploy --all" in capsys.readouterr().err


# --- train ---


@pytest.fixture
def example(tmp_path: Path) -> Path:
    made = tmp_path / "example"
    made.mkdir()
    (made / "train.py").write_text(TRAIN)
    (made / "weights.onnx").write_bytes(ONNX)
    (made / "model.yaml").write_bytes(CARD_YAML)
    return made


def test_train_locally_gives_the_program_what_sagemaker_would(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (example / "weights.onnx").rename(data / "weights.onnx")
    out = tmp_path / "model"
    assert run("train", str(example), "--local", "--data", str(data), "-p", "epochs=3", "--out", str(out)) == 0
    assert "epochs 3" in capsys.readouterr().err
    assert (out / "parts.onnx").read_bytes() == ONNX


def test_a_training_that_fails_says_its_last_lines(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", str(example), "--local", "-p", "epochs=0", "--out", str(tmp_path / "o")) == 1
    said = capsys.readouterr().err
    assert "V008" in said
    assert "no epochs, no model" in said
    assert run("train", str(tmp_path), "--local") == 1
    assert "there is no train.py" in capsys.readouterr().err
    assert run("train", str(example), "--local", "-p", "epochs") == 1


def test_a_training_job_has_program_data_and_role(example: Path, account: ModelAccount, tmp_path: Path) -> None:
    training = CloudTraining(Account(region="eu-central-1"))
    request = TrainingRequest("parts", example, str(example), {"epochs": "2"}, "ml.m5.large")
    models = CloudModels(Account(region="eu-central-1"))
    lines: list[str] = []
    job = training.start(request, models.now(), lines.append)
    said = boto3.client("sagemaker", region_name="eu-central-1").describe_training_job(TrainingJobName=job)
    assert said["HyperParameters"]["epochs"] == "2"
    assert said["RoleArn"].endswith("role/training")
    assert "pytorch-training:2.6.0-cpu" in said["AlgorithmSpecification"]["TrainingImage"]
    assert said["OutputDataConfig"]["S3OutputPath"] == "s3://models/trained/"
    assert f"datasets/{job}/weights.onnx" in account.keys("models")
    assert lines[-1] == "program uploaded"
    # What the state machine hears when it has ended carries this name, and finds the model by it.
    detail = event("training_completed")["detail"]
    assert job.rpartition("-")[0] == detail["TrainingJobName"].rpartition("-")[0]
    training.follow(job, lines.append)


def test_a_failed_job_brings_sagemakers_reason(account: ModelAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    training = CloudTraining(Account(region="eu-central-1"), sleep=lambda _: None)
    answers = iter(
        [
            {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Downloading"},
            {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"},
            {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": "AlgorithmError: boom"},
        ]
    )
    client = Account.client

    class SageMaker:
        def describe_training_job(self, **_: str) -> dict[str, str]:
            return next(answers)

    monkeypatch.setattr(
        Account, "client", lambda self, name: SageMaker() if name == "sagemaker" else client(self, name)
    )
    lines: list[str] = []
    with pytest.raises(CloudError, match="AlgorithmError: boom") as caught:
        training.follow("vedette-prod-parts-1", lines.append)
    assert caught.value.code == "V008"
    assert lines == ["Downloading", "Training", "Failed"]


def test_data_that_jobs_cannot_read_is_refused(example: Path, account: ModelAccount) -> None:
    training = CloudTraining(Account(region="eu-central-1"))
    models = CloudModels(Account(region="eu-central-1"))
    for data, kind in (("s3://other/data/", UsageError), (str(example / "nothing"), CloudError)):
        with pytest.raises(kind):
            training.start(TrainingRequest("parts", example, data, {}, "ml.m5.large"), models.now(), lambda _: None)


def test_images_are_known_by_region() -> None:
    assert "gpu-py312" in training_image("us-east-1", "ml.g5.xlarge")
    with pytest.raises(UsageError, match="no training image is known for cn-north-1"):
        training_image("cn-north-1", "ml.g5.xlarge")


def test_the_program_is_packed_with_our_library(example: Path, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack_program(example))) as packed:
        names = packed.getnames()
    assert "train.py" in names
    assert "vedette/contracts/errors.py" in names
    with pytest.raises(CloudError, match=r"no train\.py"):
        pack_program(tmp_path)
