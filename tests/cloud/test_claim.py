"""Becoming a device: one token, one machine; everything else is refused."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from moto.dynamodb.models import DynamoDBBackend

from lambdas.claim import handler
from lambdas.common import runtime
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.registry import NewDevice, Registry
from vedette.contracts.device import DeviceRecord
from vedette.contracts.errors import CloudError
from vedette.core.fleet.registration import RETRY_S, Refusal, Registration, digest, judge
from vedette.local.cloud.tables import atomic_writes

EVENT = json.loads((Path(__file__).parent / "events" / "claim.json").read_text())
NOW = 1_800_000_000
DEVICE = DeviceRecord(thing="cam", serial="SN-1")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.setenv("REGISTRATIONS_TABLE", "registrations")
    monkeypatch.setattr("lambdas.claim.handler.time.time", lambda: NOW)
    with mock_aws():
        for table, key in (("devices", "thing"), ("registrations", "serial")):
            boto3.client("dynamodb").create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            boto3.client("ssm").put_parameter(Name=f"/vedette/prod/{table}-table", Value=table, Type="String")
        forget()
        yield Registry(Account(), clock=lambda: NOW)
    forget()


def forget() -> None:
    for made in (runtime.settings, runtime.logger, runtime.client):
        made.cache_clear()


def event(token: str, *, serial: str = "SN-1", certificate: str = "cert-1") -> dict[str, Any]:
    asked = copy.deepcopy(EVENT)
    asked["parameters"] |= {"SerialNumber": serial, "Token": token}
    return {**asked, "certificateId": certificate}


def ask(new: NewDevice, **changes: Any) -> dict[str, Any]:
    return handler.handle(event(changes.pop("token", new.token), **changes), None)


def test_a_registered_machine_becomes_its_device(registry: Registry) -> None:
    new = registry.register("SN-1", ring="canary", site="berlin", thing="gate")
    answer = ask(new)
    assert answer["allowProvisioning"] is True
    assert answer["parameterOverrides"] == {
        "ThingName": "gate",
        "SerialNumber": "SN-1",
        "Fleet": "main",
        "Ring": "canary",
        "Site": "berlin",
        "RingGroup": "vedette-main-canary",
        "Token": "used",
    }


def test_only_the_digest_of_a_token_is_stored(registry: Registry) -> None:
    new = registry.register("SN-1")
    for table in ("devices", "registrations"):
        assert new.token not in json.dumps(boto3.client("dynamodb").scan(TableName=table)["Items"])
    assert len(new.token) >= 43  # 32 bytes


def test_everything_else_is_denied_without_a_reason(registry: Registry) -> None:
    new = registry.register("SN-1")
    refused: list[Any] = [
        event(new.token + "x"),
        event(new.token, serial="SN-2"),
        event(new.token, serial="SN/1"),
        event(""),
        {**EVENT, "parameters": {}},
        {},
        None,
        [],
        {**event(new.token), "certificateId": 7},
    ]
    for bad in refused:
        assert handler.handle(bad, None) == {"allowProvisioning": False}
    assert ask(new)["allowProvisioning"] is True


def test_a_token_ends(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    new = registry.register("SN-1", valid_s=3600)
    monkeypatch.setattr("lambdas.claim.handler.time.time", lambda: NOW + 3600)
    assert ask(new) == {"allowProvisioning": False}


def test_a_used_token_is_good_for_its_own_certificate_for_a_while(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = registry.register("SN-1")
    first = ask(new)
    assert ask(new) == first
    assert ask(new, certificate="cert-2") == {"allowProvisioning": False}
    monkeypatch.setattr("lambdas.claim.handler.time.time", lambda: NOW + RETRY_S + 1)
    assert ask(new) == {"allowProvisioning": False}


def test_fifty_claims_at_once_make_one_device(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, write in atomic_writes().items():
        monkeypatch.setattr(DynamoDBBackend, name, write)
    new = registry.register("SN-1")
    start = threading.Barrier(50)
    answers: list[dict[str, Any]] = []

    def claim(number: int) -> None:
        start.wait()
        answers.append(ask(new, certificate=f"cert-{number}"))

    handler.handle({}, None)  # clients are made before the threads
    runtime.client("dynamodb")
    threads = [threading.Thread(target=claim, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    assert sum(answer["allowProvisioning"] for answer in answers) == 1


def test_a_failing_table_denies_and_no_token_reaches_the_log(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    new = registry.register("SN-1")
    boto3.client("dynamodb").delete_table(TableName="registrations")
    assert ask(new) == {"allowProvisioning": False}
    monkeypatch.delenv("REGISTRATIONS_TABLE")
    forget()
    assert ask(new) == {"allowProvisioning": False}
    said = [vars(record) for record in caplog.records if record.name == "claim"]
    assert said[0]["reason"] == "ResourceNotFoundException"
    assert "REGISTRATIONS_TABLE" in said[1]["reason"]
    assert new.token not in str(said)


def test_registering_again_makes_a_new_token_and_keeps_what_is_known(registry: Registry) -> None:
    first = registry.register("SN-1")
    boto3.client("dynamodb").update_item(
        TableName="devices",
        Key={"thing": {"S": "SN-1"}},
        UpdateExpression="SET last_seen = :now",
        ExpressionAttributeValues={":now": {"N": "1"}},
    )
    assert ask(first)["allowProvisioning"] is True
    second = registry.register("SN-1", site="hamburg")
    assert ask(first, certificate="cert-2") == {"allowProvisioning": False}
    assert ask(second, certificate="cert-2")["allowProvisioning"] is True
    item = boto3.client("dynamodb").get_item(TableName="devices", Key={"thing": {"S": "SN-1"}})["Item"]
    assert item["last_seen"] == {"N": "1"}
    assert item["site"] == {"S": "hamburg"}


def test_a_name_a_serial_number_and_a_ring_are_given_once(registry: Registry) -> None:
    registry.register("SN-1", thing="gate")
    others: list[dict[str, Any]] = [
        {"serial": "SN-2", "thing": "gate"},
        {"serial": "SN-1", "thing": "door"},
        {"serial": "SN-1", "thing": "gate", "ring": "canary"},
        {"serial": "SN-1", "thing": "gate", "fleet": "north"},
    ]
    for other in others:
        with pytest.raises(CloudError, match="V012") as refused:
            registry.register(**other)
        assert refused.value.code == "V012"
    items = boto3.client("dynamodb").scan(TableName="devices")["Items"]
    assert [item["thing"]["S"] for item in items] == ["gate"]


@pytest.mark.parametrize(
    ("serial", "thing", "message"),
    [("a b", None, "serial"), ("SN-1", "x/y", "thing"), ("SN-1", "vedette-claim-1", "not a device yet")],
)
def test_names_that_could_be_misread_are_refused(
    registry: Registry, serial: str, thing: str | None, message: str
) -> None:
    with pytest.raises(CloudError, match=message):
        registry.register(serial, thing=thing)


@given(
    token=st.text(min_size=1), guess=st.text(min_size=1), expires=st.integers(0, 100), now=st.integers(0, 100),
    used_at=st.none() | st.integers(0, 100), same=st.booleans(),
)  # fmt: skip
def test_a_claim_passes_only_with_the_token_in_time_and_once(
    token: str, guess: str, expires: int, now: int, used_at: int | None, same: bool
) -> None:
    found = Registration(DEVICE, digest(token), expires, None if used_at is None else "a", used_at)
    verdict = judge(found, token=guess, certificate_id="a" if same else "b", now_s=now)
    assert judge(None, token=guess, certificate_id="a", now_s=now) is Refusal.UNKNOWN
    if guess != token:
        assert verdict is Refusal.WRONG_TOKEN
    elif used_at is None:
        assert verdict is (None if now < expires else Refusal.EXPIRED)
    else:
        assert verdict is (None if same else Refusal.USED)
