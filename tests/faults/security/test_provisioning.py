"""X16: claims of those who must have no certificate. They run against what decides, on tables in memory."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import boto3
import pytest
from moto.dynamodb.models import DynamoDBBackend

from lambdas.claim import handler
from lambdas.common import runtime
from tests.cloud.test_claim import NOW, ask, event, registry
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.adapters.aws.registry import Registry
from vedette.core.fleet.registration import RETRY_S
from vedette.local.cloud.tables import atomic_writes

__all__ = ("registry",)


def allowed(answer: Any) -> bool:
    return bool(answer["allowProvisioning"])


def race(registry: Registry, number: int, claims: int) -> int:
    """How many of many claims at once, each with a certificate of its own, are allowed."""
    new = registry.register(f"RACE-{number}")
    start = threading.Barrier(claims)
    answers: list[bool] = []

    def claim(which: int) -> None:
        start.wait()
        answers.append(allowed(ask(new, serial=f"RACE-{number}", certificate=f"cert-{number}-{which}")))

    threads = [threading.Thread(target=claim, args=(which,)) for which in range(claims)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == claims
    return sum(answers)


def strangers(chance: random.Random, token: str, number: int) -> list[Any]:
    """Claims that nothing entitles to a certificate."""
    shapes: list[Any] = [
        None,
        [],
        {},
        "",
        7,
        {"parameters": None},
        {"certificateId": "c"},
        {"parameters": {"Token": token}},
    ]
    for _ in range(number):
        wrong = token[: chance.randrange(len(token))] + chance.choice("aZ_9-")
        changes: dict[str, Any] = chance.choice(
            (
                {"token": wrong},
                {"token": token.swapcase()},
                {"token": token + "\0"},
                {"token": ""},
                {
                    "token": token,
                    "serial": chance.choice(("SN-2", "SN-1 ", "sn-1", "SN-1/..", "SN-1\0", "*", "", "SN" * 300)),
                },
                {"token": token, "certificate": ""},
                {"token": token, "certificate": "c" * 500},
            )
        )
        shapes.append(event(changes.pop("token"), **changes))
    return shapes


def test_x16_provisioning(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    chance = random.Random(seed)
    for name, write in atomic_writes().items():
        monkeypatch.setattr(DynamoDBBackend, name, write)
    new = registry.register("SN-1", valid_s=3600)
    tried = strangers(chance, new.token, scorecard.size(quick=100, full=1_000))
    wrong = sum(allowed(handler.handle(one, None)) for one in tried)
    handler.handle({}, None)
    runtime.client("dynamodb")
    races, claims = scorecard.size(quick=3, full=20), 50
    won = [race(registry, number, claims) for number in range(races)]
    wrong += sum(max(0, one - 1) for one in won)
    control = allowed(ask(new)) and won.count(1) == races
    replays = [{"certificate": f"other-{number}"} for number in range(20)]
    wrong += sum(allowed(ask(new, **one)) for one in replays)
    monkeypatch.setattr("lambdas.claim.handler.time.time", lambda: NOW + RETRY_S + 1)
    wrong += allowed(ask(new))
    expired = registry.register("SN-9", valid_s=60)
    monkeypatch.setattr("lambdas.claim.handler.time.time", lambda: NOW + 7200)
    wrong += allowed(ask(expired, serial="SN-9"))
    last = registry.register("SN-10", valid_s=100_000)
    boto3.client("dynamodb").delete_table(TableName="registrations")
    wrong += allowed(ask(last, serial="SN-10"))
    n = len(tried) + races * claims + len(replays) + 3
    row = Row(
        "X16",
        "certificates for those who must have none",
        wrong,
        "certificates",
        n,
        "0",
        passed=wrong == 0 and control,
        upper95=upper95(wrong, n),
        control=Control("the right token, and one of each race: allowed", races + 1 if control else 0, control),
        seed=seed,
        notes=f"{len(tried)} foreign, malformed or forged claims; {races} races of {claims} claims for one token; "
        f"{len(replays)} replays with other certificates; late, expired, and with the table gone.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
