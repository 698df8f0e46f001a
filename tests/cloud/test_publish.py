"""Publishing: what goes into the bucket and when, uploads that break off, versions that are there already."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.cloud.sandbox_account import SandboxAccount
from vedette.adapters.artefact_file import ArtefactFile, measured
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.artefacts import ArtefactStore
from vedette.adapters.aws.component_versions import ComponentVersions, version_order
from vedette.adapters.aws.published_application import published_application
from vedette.adapters.aws.publishing import Planned, Publisher, Release
from vedette.cli.main import build as command_line
from vedette.contracts.account import parameter
from vedette.contracts.errors import CloudError, VedetteError
from vedette.core.fleet.build_target import Platform
from vedette.core.fleet.component_recipe import published_recipe, recipe_differences
from vedette.local.building.tree import BuildTarget, Built, write_list

STAGE, BUCKET = "publish", "publish-artefacts"
#: The smallest that S3 takes.
PART = 5 << 20


@pytest.fixture
def account(bare_sandbox: SandboxAccount, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account with an artefacts bucket and nothing else."""
    for name, value in bare_sandbox.environment.items():
        monkeypatch.setenv(name, value)
    bare_sandbox.client("s3").create_bucket(Bucket=BUCKET)
    bare_sandbox.client("ssm").put_parameter(
        Name=parameter(STAGE, "artefacts-bucket"), Value=BUCKET, Type="String", Overwrite=True
    )
    return Account(STAGE)


def file_of(path: Path, data: bytes) -> ArtefactFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ArtefactFile(path, hashlib.sha256(data).hexdigest(), len(data))


def noise(seed: int, size: int) -> bytes:
    return hashlib.shake_128(str(seed).encode()).digest(size)


def quiet(_file: ArtefactFile, _done: int) -> None:
    pass


def document(name: str, version: str, file: str = "part.zip", **more: Any) -> dict[str, Any]:
    folder = file.removesuffix(".zip")
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        **more,
        "Manifests": [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [{"Uri": f"s3://BUCKET/{file}", "Unarchive": "ZIP"}],
                "Lifecycle": {"run": {"Script": f"exec sh {{artifacts:decompressedPath}}/{folder}/run.sh"}},
            }
        ],
    }


def release(path: Path, name: str, version: str, data: bytes, **more: Any) -> Release:
    file = file_of(path / name / version / "part.zip", data)
    return Release(name, version, document(name, version, **more), (file,))


def build_tree(tree: Path, releases: Sequence[tuple[str, str, bytes]]) -> Path:
    """A tree as `vedette build` writes it."""
    made = []
    for name, version, data in releases:
        artefact = tree / "artifacts" / name / version / "part.zip"
        artefact.parent.mkdir(parents=True, exist_ok=True)
        artefact.write_bytes(data)
        recipe = tree / "recipes" / f"{name}-{version}.yaml"
        recipe.parent.mkdir(parents=True, exist_ok=True)
        recipe.write_text(yaml.safe_dump(document(name, version)))
        made.append(Built(name, version, recipe, (measured(artefact),), BuildTarget(platform=Platform.AMD64)))
    write_list(tree, made)
    return tree


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command_line(), [*arguments, "--stage", STAGE])


# Files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_sent_once_and_its_checksum_is_that_of_its_content(account: Account, tmp_path: Path) -> None:
    file, store = file_of(tmp_path / "a.zip", noise(1, 1000)), ArtefactStore(account)
    assert not store.has(file)
    (first,) = store.upload([file, file], quiet)
    assert (first.sent, first.kept) == (1000, 0)
    assert base64.b64decode(first.checksum).hex() == file.sha256
    assert store.has(file)
    (again,) = store.upload([file], quiet)
    assert (again.sent, again.kept) == (0, 1000)


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 7])
def test_files_around_the_size_of_a_part(account: Account, tmp_path: Path, size: int) -> None:
    file = file_of(tmp_path / "b.zip", noise(size, size))
    store = ArtefactStore(account, part_bytes=PART)
    told: list[int] = []
    (done,) = store.upload([file], lambda _, count: told.append(count))
    assert done.sent == size == sum(told)
    there = account.client("s3").get_object(Bucket=BUCKET, Key=file.key)["Body"].read()
    assert hashlib.sha256(there).hexdigest() == file.sha256
    assert done.checksum.endswith(f"-{-(-size // PART)}") == (size > PART)


def test_what_lies_under_the_name_with_other_content_is_replaced(account: Account, tmp_path: Path) -> None:
    file, s3 = file_of(tmp_path / "c.zip", noise(3, 500)), account.client("s3")
    s3.put_object(Bucket=BUCKET, Key=file.key, Body=noise(4, 500), ChecksumAlgorithm="SHA256")
    store = ArtefactStore(account)
    assert not store.has(file)
    assert store.upload([file], quiet)[0].sent == 500
    assert s3.get_object(Bucket=BUCKET, Key=file.key)["Body"].read() == noise(3, 500)


def test_a_file_that_changed_is_not_sent(account: Account, tmp_path: Path) -> None:
    file = file_of(tmp_path / "d.zip", noise(5, 500))
    file.path.write_bytes(noise(6, 500))
    with pytest.raises(CloudError, match=r"V708 .*not the file that was built"):
        ArtefactStore(account).upload([file], quiet)
    assert "Contents" not in account.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=file.key)


KILLED = """
import os, signal, sys
from pathlib import Path
from vedette.adapters.aws.account import Account
from vedette.adapters.artefact_file import ArtefactFile
from vedette.adapters.aws.artefacts import ArtefactStore
path, sha256, size, part, after = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
sent = 0
def progress(file, done):
    global sent
    sent += done
    if sent >= after:
        os.kill(os.getpid(), signal.SIGKILL)
ArtefactStore(Account("publish"), part_bytes=part, workers=1).upload([ArtefactFile(path, sha256, size)], progress)
"""


def test_an_upload_that_was_killed_goes_on_with_the_parts_that_are_there(account: Account, tmp_path: Path) -> None:
    file = file_of(tmp_path / "e.zip", noise(7, 4 * PART + 99))
    arguments = [str(file.path), file.sha256, str(file.size), str(PART), str(2 * PART)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    store = ArtefactStore(account, part_bytes=PART)
    assert not store.has(file)
    (done,) = store.upload([file], quiet)
    assert done.kept == 2 * PART
    assert done.sent == file.size - 2 * PART
    assert hashlib.sha256(account.client("s3").get_object(Bucket=BUCKET, Key=file.key)["Body"].read()).hexdigest() == (
        file.sha256
    )
    assert not account.client("s3").list_multipart_uploads(Bucket=BUCKET, Prefix=file.key).get("Uploads")


def test_a_part_with_other_content_is_sent_again(account: Account, tmp_path: Path) -> None:
    file, s3 = file_of(tmp_path / "f.zip", noise(8, 3 * PART)), account.client("s3")
    named = {"Bucket": BUCKET, "Key": file.key}
    upload = s3.create_multipart_upload(**named, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE")["UploadId"]
    good, bad = file.path.read_bytes()[:PART], noise(9, PART)
    for number, data in ((1, good), (2, bad)):
        s3.upload_part(**named, UploadId=upload, PartNumber=number, Body=data, ChecksumAlgorithm="SHA256")
    (done,) = ArtefactStore(account, part_bytes=PART).upload([file], quiet)
    assert (done.kept, done.sent) == (PART, 2 * PART)
    assert s3.get_object(**named)["Body"].read() == file.path.read_bytes()


def test_somebody_else_finishes_the_same_upload(account: Account, tmp_path: Path) -> None:
    file = file_of(tmp_path / "g.zip", noise(10, 2 * PART))
    others: list[int] = []

    def progress(_: ArtefactFile, done: int) -> None:
        if done and not others:
            others.append(done)
            ArtefactStore(account, part_bytes=PART).upload([file], quiet)

    (done,) = ArtefactStore(account, part_bytes=PART, workers=1).upload([file], progress)
    assert others
    assert done.checksum.endswith("-2")
    assert account.client("s3").get_object(Bucket=BUCKET, Key=file.key)["Body"].read() == file.path.read_bytes()


def test_what_does_not_have_its_checksum_is_refused_by_the_sandbox(account: Account) -> None:
    s3 = account.client("s3")
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    with pytest.raises(Exception, match="BadDigest"):
        s3.put_object(Bucket=BUCKET, Key="x", Body=b"this", ChecksumAlgorithm="SHA256", ChecksumSHA256=wrong)


# Versions --------------------------------------------------------------------------------------------------------


def test_a_tree_is_published_once(account: Account, tmp_path: Path) -> None:
    tree = build_tree(tmp_path / "tree", [("vedette.One", "1.0.0", b"one"), ("vedette.Two", "1.0.0", b"two")])
    planned = json.loads(run("publish", str(tree), "--dry-run", "--json").stdout)
    assert [one["state"] for one in planned["components"]] == ["to-publish", "to-publish"]
    assert planned["bytes_to_send"] == 6
    versions = ComponentVersions(account)
    assert versions.state("vedette.One", "1.0.0") is None
    first = run("publish", str(tree), "--json")
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout)
    assert [one["state"] for one in said["components"]] == ["published", "published"]
    assert said["bytes_sent"] == 6
    (artefact,) = versions.recipe("vedette.One", "1.0.0")["Manifests"][0]["Artifacts"]
    assert artefact["Uri"] == f"s3://{BUCKET}/sha256/{hashlib.sha256(b'one').hexdigest()}/part.zip"
    again = run("publish", str(tree))
    assert again.exit_code == 0
    assert "Everything is there already." in again.output


def test_a_version_with_other_content_is_refused_before_anything_is_sent(account: Account, tmp_path: Path) -> None:
    run("publish", str(build_tree(tmp_path / "a", [("vedette.Same", "1.0.0", b"old")])))
    other = build_tree(tmp_path / "b", [("vedette.New", "1.0.0", b"brand new"), ("vedette.Same", "1.0.0", b"new")])
    refused = run("publish", str(other))
    assert isinstance(refused.exception, CloudError)
    assert refused.exception.code == "V014"
    assert "part.zip has SHA-256" in refused.exception.message
    assert "raise the version" in refused.exception.hint
    key = f"sha256/{hashlib.sha256(b'brand new').hexdigest()}/part.zip"
    assert "Contents" not in account.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=key)
    assert ComponentVersions(account).state("vedette.New", "1.0.0") is None


def test_no_version_is_made_where_a_file_cannot_be_sent(account: Account, tmp_path: Path) -> None:
    good = release(tmp_path, "vedette.Before", "1.0.0", b"good")
    bad = release(tmp_path, "vedette.Broken", "1.0.0", b"bad")
    made = Publisher(ArtefactStore(account), ComponentVersions(account))
    publication = made.plan([good, bad])
    bad.files[0].path.write_bytes(b"changed")
    with pytest.raises(CloudError, match="V708"):
        made.publish(publication, quiet, lambda _: None)
    assert ComponentVersions(account).state("vedette.Before", "1.0.0") is None


def test_candidates_come_before_their_application(account: Account, tmp_path: Path) -> None:
    names = ["vedette.app.door", "vedette.candidate.door", "vedette.Lib"]
    made = Publisher(ArtefactStore(account), ComponentVersions(account))
    told: list[str] = []

    def tell(one: Planned) -> None:
        told.append(one.release.name)

    made.publish(made.plan([release(tmp_path, name, "1.0.0", b"x") for name in names]), quiet, tell)
    assert told == ["vedette.Lib", "vedette.candidate.door", "vedette.app.door"]


class Slow:
    """Greengrass that takes its time, then says how it ended."""

    class exceptions:  # noqa: N801 - as boto3 has it
        ResourceNotFoundException = KeyError

    def __init__(self, *states: tuple[str, str]) -> None:
        self.states = list(states)

    def describe_component(self, arn: str) -> dict[str, Any]:
        state, message = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"status": {"componentState": state, "message": message, "errors": {"Recipe": "no such key"}}}


class SlowAccount(Account):
    def __init__(self, greengrass: Slow) -> None:
        super().__init__(region="eu-central-1")
        self.greengrass = greengrass

    def client(self, service: str) -> Any:
        if service == "sts":
            return self
        return self.greengrass

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": "arn:aws-cn:iam::123456789012:user/anna", "Account": "123456789012"}


def test_waiting_ends_with_the_reason_that_greengrass_gives() -> None:
    slept: list[float] = []
    account = SlowAccount(Slow(("REQUESTED", "NONE"), ("INITIATED", "NONE"), ("FAILED", "artifact is gone")))
    versions = ComponentVersions(account, sleep=slept.append, monotonic=lambda: float(len(slept)))
    with pytest.raises(CloudError, match=r"V014 .*FAILED artifact is gone Recipe: no such key"):
        versions.settled("vedette.One", "1.0.0")
    assert len(slept) == 2
    endless = ComponentVersions(
        SlowAccount(Slow(("INITIATED", "NONE"))), sleep=slept.append, monotonic=lambda: 1e3 * len(slept)
    )
    with pytest.raises(CloudError, match=r"V014 .*not ready after 600 s") as late:
        endless.settled("vedette.One", "1.0.0")
    assert late.value.retryable


# Recipes ---------------------------------------------------------------------------------------------------------


def test_what_greengrass_adds_is_no_difference() -> None:
    ours, sha256 = document("vedette.One", "1.0.0"), hashlib.sha256(b"x").hexdigest()
    stored = json.loads(published_recipe(ours, {"part.zip": "s3://assets/0f0f.zip"}))
    (manifest,) = stored["Manifests"]
    manifest["Artifacts"][0] |= {
        "Digest": base64.b64encode(bytes.fromhex(sha256)).decode(),
        "Algorithm": "SHA-256",
        "Permission": {"Read": "OWNER", "Execute": "NONE"},
    }
    # As the stacks make it: the archive has another name there, and so has its folder.
    manifest["Lifecycle"]["run"]["Script"] = "exec sh {artifacts:decompressedPath}/0f0f/run.sh"
    stored |= {"ComponentType": "aws.greengrass.generic", "ComponentConfiguration": {}, "ComponentPublisher": None}
    assert recipe_differences(ours, {"part.zip": sha256}, stored) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ComponentDescription": "else"}, 'ComponentDescription is absent here and "else" in the account'),
        ({"ComponentDependencies": {"a": {"VersionRequirement": ">=1.0.0"}}}, "ComponentDependencies is absent here"),
        ({"ComponentConfiguration": {"DefaultConfiguration": {"n": 5}}}, "ComponentConfiguration is absent here"),
    ],
)
def test_what_an_author_wrote_is_a_difference(change: dict[str, Any], said: str) -> None:
    ours, sha256 = document("vedette.One", "1.0.0"), "ab" * 32
    stored = json.loads(published_recipe(ours, {"part.zip": f"s3://b/sha256/{sha256}/part.zip"})) | change
    (difference,) = recipe_differences(ours, {"part.zip": sha256}, stored)
    assert said in difference


def test_an_artefact_of_unknown_content_is_a_difference() -> None:
    ours = document("vedette.One", "1.0.0")
    (difference,) = recipe_differences(ours, {"part.zip": "ab" * 32}, ours)
    assert difference == "the content of part.zip in the account is not known"


def test_a_recipe_that_is_too_long_is_refused(account: Account, tmp_path: Path) -> None:
    long = release(tmp_path, "vedette.Long", "1.0.0", b"x", ComponentDescription="a" * 16_000)
    with pytest.raises(CloudError, match=r"V014 vedette.Long 1.0.0: its recipe is 16,\d+ bytes"):
        Publisher(ArtefactStore(account), ComponentVersions(account)).plan([long])


def test_versions_are_ordered_as_semantic_versions_are() -> None:
    ordered = ["0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.2.0", "1.10.0"]
    jumbled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(jumbled, key=version_order) == ordered


def test_what_is_neither_tree_nor_application(tmp_path: Path, account: Account) -> None:
    refused = run("publish", str(tmp_path))
    assert isinstance(refused.exception, VedetteError)
    assert refused.exception.code == "V708"


# An application in the account ------------------------------------------------------------------------------------


def test_manifest_and_tests_of_an_application_are_read_without_loading_it(account: Account, tmp_path: Path) -> None:
    packed = tmp_path / "shop.zip"
    manifest = {
        "api": "vedette/v1",
        "name": "shop",
        "version": "1.0.0",
        "cameras": {"hall": {}},
        "models": {"things": {"family": "yolox", "file": "models/things.onnx", "labels": ["thing"]}},
        "pipelines": {"main": {"model": "things", "cameras": ["hall"], "fps": 5}},
        "rules": {"seen": {"type": "nothing_seen", "for_s": 5}},
    }
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("application/models/things.onnx", noise(20, 2 << 20))
        archive.writestr("application/tests/inner/vedette.yaml", "api: other")
        archive.writestr("application/tests/visit.yaml", "api: vedette-test/v1")
        archive.writestr("application/vedette.yaml", json.dumps(manifest))
    file = file_of(packed, packed.read_bytes())
    made = Publisher(ArtefactStore(account), ComponentVersions(account))
    shop = Release("vedette.app.shop", "1.0.0", document("vedette.app.shop", "1.0.0", "shop.zip"), (file,))
    made.publish(made.plan([shop]), quiet, lambda _: None)
    asked: list[int] = []
    account.client("s3").meta.events.register("before-call.s3.GetObject", lambda **_: asked.append(1))
    found = published_application(account, "shop", "1.0.0")
    assert found.manifest is not None
    assert list(found.manifest.cameras) == ["hall"]
    assert found.tested
    assert len(asked) < 6, "a few pieces, not the models"
    assert ComponentVersions(account).newest("vedette.app.shop") == "1.0.0"
    assert ComponentVersions(account).newest("vedette.app.nobody") is None


def test_an_application_that_was_packed_by_somebody_else(account: Account, tmp_path: Path) -> None:
    made = Publisher(ArtefactStore(account), ComponentVersions(account))
    made.publish(made.plan([release(tmp_path, "vedette.app.other", "1.0.0", b"no zip")]), quiet, lambda _: None)
    found = published_application(account, "other", "1.0.0")
    assert found.manifest is None
    assert not found.tested
