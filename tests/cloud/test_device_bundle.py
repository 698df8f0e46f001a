"""A device's bundle: reproducible, its secrets in two files and nowhere else, its label harmless."""

from __future__ import annotations

import filecmp
import hashlib
import io
import json
import os
import ssl
import stat
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cloud.devices_account import CLAIM_POLICY, REGISTRATIONS, client, devices_account, run
from tests.local.conftest import PROPERTY
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.kept_secrets import ClaimCertificate, UpdateKey
from vedette.adapters.bundle_writer import write_archive, write_bundle
from vedette.adapters.label import label, read_codes
from vedette.contracts.device_bundle import BundleManifest
from vedette.contracts.errors import CloudError, UsageError
from vedette.core.fleet.bundle import BundleFile, console_page, scanned_thing
from vedette.core.fleet.registration import digest
from vedette.local.bundle_sources import component_files, installer_files

#: Of Amazon Root CA 1, as Amazon Trust Services publishes it.
ROOT_CA_SHA256 = "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with devices_account(monkeypatch):
        yield Account()


def unpacked(path: Path) -> dict[str, tuple[bytes, int]]:
    with tarfile.open(path) as archive:
        entries = [one for one in archive.getmembers() if one.isfile()]
        found = {}
        for one in entries:
            opened = archive.extractfile(one)
            assert opened is not None
            found[one.name.partition("/")[2]] = (opened.read(), one.mode)
        return found


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("nucleus", ["lite", "classic"])
def test_the_token_and_the_claims_key_are_in_their_own_files_and_nowhere_else(
    tmp_path: Path, nucleus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b.tar.gz"
    assert run("register", "SN.7", "--nucleus", nucleus, "--out", str(out), "--json") == 0
    said = capsys.readouterr().out
    files = unpacked(out)
    token, key = files["token"][0].strip(), files["claim.pem.key"][0].strip()
    kept = client("dynamodb").scan(TableName=REGISTRATIONS)["Items"]
    assert kept[0]["token_sha256"]["S"] == digest(token.decode())
    for name, (content, mode) in files.items():
        if name not in {"token", "claim.pem.key"}:
            assert token not in content, name
            assert key not in content, name
            assert not mode & 0o022, name
    assert {files["token"][1], files["claim.pem.key"][1], stat.S_IMODE(out.stat().st_mode)} == {0o600}
    assert token.decode() not in said
    manifest = BundleManifest.model_validate_json(files["bundle.json"][0])
    assert (manifest.device.thing, manifest.nucleus.value) == ("SN-7", nucleus)
    configuration = json.loads(files["config.yaml"][0])
    (claim,) = [one["configuration"] for name, one in configuration["services"].items() if "leet" in name]
    wanted = {"SerialNumber": "SN.7", "Token": "@TOKEN@"}
    assert claim.get("templateParams", claim.get("templateParameters")) == wanted


@pytest.mark.usefixtures("account")
def test_pictures_show_the_devices_page_and_no_text_of_them_is_secret(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    assert run("register", "SN-7", "--out", str(folder)) == 0
    token = (folder / "token").read_bytes().strip()
    for name in ("label.png", "qr.png"):
        page = console_page("eu-central-1", "SN-7")
        assert read_codes(folder / name) == (page,)
        assert token not in (folder / name).read_bytes()
        assert scanned_thing(page) == "SN-7"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600


@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1", "us-gov-west-1"])
def test_a_page_names_its_device_and_other_codes_name_none(region: str) -> None:
    assert scanned_thing(console_page(region, "cam_2")) == "cam_2"
    for other in ("SN-7", "https://example.org/#/greengrass/v2/cores/SN-7", console_page(region, "a/b"), ""):
        assert scanned_thing(other) is None


def archive_bytes(name: str, files: dict[str, BundleFile]) -> bytes:
    packed = io.BytesIO()
    write_archive(packed, name, files)
    return packed.getvalue()


@PROPERTY
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.binary(max_size=64), max_size=6))
def test_the_same_files_give_the_same_archive_whatever_their_order(files: dict[str, bytes]) -> None:
    made = {name: BundleFile(content) for name, content in files.items()}
    backwards = dict(reversed(made.items()))
    first = archive_bytes("b", made)
    assert first == archive_bytes("b", backwards)
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert {(one.mtime, one.uid, one.uname) for one in archive.getmembers()} == {(0, 0, "")}


@pytest.mark.parametrize("name", ["b.tar.gz", "b"])
def test_files_too_large_to_hold_are_not_held(tmp_path: Path, name: str) -> None:
    large = tmp_path / "large"
    with large.open("wb") as opened:
        opened.truncate(32 << 20)
    tracemalloc.start()
    try:
        write_bundle(tmp_path / name, "b", {"large": BundleFile(large), "token": BundleFile(b"t", 0o600)})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20
    written = tmp_path / name
    found = written / "large" if written.is_dir() else tmp_path / "again"
    if not written.is_dir():
        found.write_bytes(unpacked(written)["large"][0])
    assert filecmp.cmp(found, large, shallow=False)


def test_a_file_gives_the_same_archive_as_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert archive_bytes("b", {"x": BundleFile(tmp_path / "file")}) == archive_bytes("b", {"x": BundleFile(b"content")})


@pytest.mark.parametrize("name", ["b.tar.gz", "b"])
def test_a_file_that_is_gone_meanwhile_is_told_and_no_half_of_the_secrets_is_left(tmp_path: Path, name: str) -> None:
    files = {"a": BundleFile(b"token", 0o600), "b": BundleFile(tmp_path / "gone")}
    with pytest.raises(UsageError, match="cannot be written: No such file") as refused:
        write_bundle(tmp_path / name, "b", files)
    assert refused.value.code == "V703"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_becomes_shorter_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    status = os.fstat

    def before(number: int) -> os.stat_result:
        found = status(number)
        if found.st_size == 100:
            os.truncate(file, 10)
        return found

    monkeypatch.setattr("vedette.adapters.bundle_writer.os.fstat", before)
    with pytest.raises(UsageError, match="cannot be written: unexpected end of data"):
        write_bundle(tmp_path / "b.tar.gz", "b", {"x": BundleFile(file)})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_claim_is_made_once_and_can_only_ask(account: Account) -> None:
    first = ClaimCertificate(account).get()
    assert ClaimCertificate(account).get() == first
    assert first.key not in repr(first)
    iot = client("iot")
    (found,) = iot.list_certificates()["certificates"]
    policies = iot.list_attached_policies(target=found["certificateArn"])["policies"]
    assert (found["status"], [one["policyName"] for one in policies]) == ("ACTIVE", [CLAIM_POLICY])


def test_a_claim_that_broke_off_is_finished_and_one_that_was_switched_off_stays_off(account: Account) -> None:
    claim = ClaimCertificate(account)
    made = claim.get()
    iot = client("iot")
    arn = iot.describe_certificate(certificateId=made.certificate_id)["certificateDescription"]["certificateArn"]
    iot.detach_policy(policyName=CLAIM_POLICY, target=arn)
    iot.update_certificate(certificateId=made.certificate_id, newStatus="INACTIVE")
    assert claim.get() == made
    iot.update_certificate(certificateId=made.certificate_id, newStatus="INACTIVE")
    with pytest.raises(CloudError) as refused:
        claim.get()
    assert refused.value.code == "V012"
    assert "--new-claim" in refused.value.hint
    renewed = claim.renew()
    assert renewed.certificate_id != made.certificate_id
    assert ClaimCertificate(account).get() == renewed


def test_of_two_first_registrations_at_once_one_claim_is_left(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    faster, slower = ClaimCertificate(account), ClaimCertificate(account)
    make = slower._make

    def make_late() -> object:
        made = make()
        faster.get()
        return made

    monkeypatch.setattr(slower, "_make", make_late)
    assert slower.get() == faster.get()
    assert len(client("iot").list_certificates()["certificates"]) == 1


def test_updates_are_signed_with_one_key_whose_public_half_is_in_every_bundle(account: Account) -> None:
    import base64

    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = UpdateKey(account)
    public = serialization.load_pem_public_key(key.public().encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(UpdateKey(account).sign(b"said"))
    public.verify(signature, b"said", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"sa1d", ec.ECDSA(hashes.SHA256()))


def test_the_root_certificate_is_amazons() -> None:
    pem = installer_files()["AmazonRootCA1.pem"].decode()
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() == ROOT_CA_SHA256


@pytest.mark.usefixtures("account")
def test_components_are_taken_along_for_nucleus_lite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree, out = tmp_path / "tree", tmp_path / "b.tar.gz"
    (tree / "recipes").mkdir(parents=True)
    assert run("register", "SN-7", "--components", str(tree), "--out", str(out)) == 1
    assert "V703" in capsys.readouterr().err
    (tree / "recipes" / "vedette.Alerting-0.1.0.yaml").write_text("recipe")
    (tree / "notes.txt").write_text("mine")
    assert run("register", "SN-7", "--components", str(tree), "--nucleus", "classic", "--out", str(out)) == 1
    assert "V701" in capsys.readouterr().err
    assert run("register", "SN-7", "--components", str(tree), "--out", str(out)) == 0
    along = [name for name in unpacked(out) if name.startswith("components/")]
    assert along == ["components/recipes/vedette.Alerting-0.1.0.yaml"]
    assert unpacked(out)[along[0]][0] == b"recipe"


def test_components_that_cannot_be_read_are_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipes" / "vedette.Alerting-0.1.0.yaml"
    recipe.parent.mkdir()
    recipe.write_text("recipe")
    assert component_files(tmp_path) == {"recipes/vedette.Alerting-0.1.0.yaml": recipe}
    monkeypatch.setattr(
        "vedette.local.bundle_sources.os.access", lambda _path, _mode: False
    )  # root may read everything
    with pytest.raises(UsageError, match=r"Alerting-0.1.0.yaml cannot be read"):
        component_files(tmp_path)


@pytest.mark.usefixtures("account")
def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert run("register", "SN-7", "--out", str(tmp_path / "mine")) == 1
    assert "V703" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"
    assert client("dynamodb").scan(TableName=REGISTRATIONS)["Items"] == []


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("name", ["vedette-claim-1", "0f8fad5b-d9cb-469f-a165-70867728950e"])
def test_no_device_is_called_like_a_machine_that_claims(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("register", "SN-7", "--thing", name) == 1
    assert "V012" in capsys.readouterr().err


def test_a_label_survives_letters_that_its_font_lacks() -> None:
    assert label("x", ("Größe ✓", "a" * 400)).startswith(b"\x89PNG")
