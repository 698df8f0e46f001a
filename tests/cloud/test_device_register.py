"""``vedette device register``: a token that is shown once, and mistakes that are named."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from vedette.cli.main import main
from vedette.contracts.account import DEFAULT_STAGE, RINGS, fleet_group, parameter, ring_group
from vedette.core.fleet.registration import digest


@pytest.fixture
def registrations(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An account with the two tables; the name of the one of registrations."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in (("REGION", "eu-central-1"), ("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "testing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        for key, partition in (("devices-table", "thing"), ("registrations-table", "serial")):
            boto3.client("dynamodb", region_name="eu-central-1").create_table(
                TableName=key,
                KeySchema=[{"AttributeName": partition, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": partition, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            boto3.client("ssm", region_name="eu-central-1").put_parameter(
                Name=parameter(DEFAULT_STAGE, key), Value=key, Type="String"
            )
        iot = boto3.client("iot", region_name="eu-central-1")
        for group in (fleet_group("main"), *(ring_group("main", ring) for ring in RINGS)):
            iot.create_thing_group(thingGroupName=group)
        yield "registrations-table"


def register(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["device", "register", *arguments])
    return int(ended.value.code or 0)


def test_the_token_is_shown_and_only_its_digest_kept(registrations: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert register("SN-7", "--site", "berlin", "--ring", "canary", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["thing"], told["fleet"], told["ring"], told["site"]) == ("SN-7", "main", "canary", "berlin")
    kept = boto3.client("dynamodb", region_name="eu-central-1").scan(TableName=registrations)["Items"]
    assert told["token"] not in json.dumps(kept)
    assert kept[0]["token_sha256"]["S"] == digest(told["token"])


def test_a_name_that_is_none_and_a_ring_that_changes_are_refused(
    registrations: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register("bad name") == 1
    assert "serial: String should match pattern" in capsys.readouterr().err
    assert register("SN-7") == 0
    capsys.readouterr()
    assert register("SN-7", "--ring", "canary") == 1
    assert "V012" in (said := capsys.readouterr().err)
    assert "main/canary" in said
    assert "main/rest" in said, "where it is"
    assert "vedette device retire SN-7" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ring", "canry"), "fleet 'main' has no ring 'canry'; it has: canary, early, rest."),
        (("--fleet", "shops"), "there is no fleet 'shops'; there are: main."),
        (("--fleet", "main-rest"), "there is no fleet 'main-rest'"),
        (("--fleet", "main-rest", "--ring", "canary"), "there is no fleet 'main-rest'"),
    ],
)
def test_a_ring_that_the_stacks_did_not_make_takes_no_device(
    registrations: str, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register("SN-7", *arguments) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "V012" in said
    assert words in said
    assert boto3.client("dynamodb", region_name="eu-central-1").scan(TableName=registrations)["Count"] == 0


@pytest.mark.usefixtures("registrations")
def test_an_account_without_stacks_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert register("SN-7", "--stage", "another") == 1
    assert "the stacks of stage 'another' in eu-central-1 are not there" in capsys.readouterr().err.replace("\n", " ")
