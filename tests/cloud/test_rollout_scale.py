"""What a rollout asks of AWS does not grow with its rings; neither does its memory, nor that of the count."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from lambdas.common import runtime
from lambdas.common.ring_summaries import read_summary
from lambdas.sweep.handler import Sweeper
from tests.cloud.test_rollout_functions import POLICY, Account, account
from vedette.contracts.fleet_metrics import Condition
from vedette.core.scale.rollout import CALLS_AT_END, CALLS_PER_CHECK, CALLS_PER_RING

__all__ = ["account"]

SIZES: Final = (10, 1_000, 10_000)
#: Devices in one answer of a query: DynamoDB answers with 1 MB at most, and an item with its last message has some KB.
PAGE: Final = 350


class Rows:
    """The table of devices, made up page by page, and the table of rings behind it."""

    def __init__(self, account: Account, size: int, unwell: int = 0) -> None:
        self.put_item = account.dynamodb.put_item
        self._account, self._size, self._unwell = account, size, unwell

    def get_paginator(self, operation: str) -> Rows:
        assert operation == "query"
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        for start in range(0, self._size, PAGE):
            yield {"Items": [self._item(n) for n in range(start, min(start + PAGE, self._size))]}

    def _item(self, number: int) -> dict[str, Any]:
        said = "camera_down" if number < self._unwell else ""
        seen = {"N": str(self._account.now * 1000)}
        item = {"thing": name(number), "fleet": "main", "ring": "early", "conditions": said, "version": "1.0.0"}
        return {key: {"S": value} for key, value in item.items()} | {"last_seen_ms": seen}


def name(number: int) -> str:
    return f"early-{number:06}"


class Counted:
    """A client that counts what is asked of it."""

    def __init__(self, service: str, inner: Any, calls: Counter[str]) -> None:
        self._service, self._inner, self._calls = service, inner, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return found if name == "exceptions" else partial(self._call, name, found)

    def _call(self, called: str, found: Any, /, *arguments: Any, **named: Any) -> Any:
        self._calls[f"{self._service}:{called}"] += 1
        return found(*arguments, **named)


def grown(account: Account, monkeypatch: pytest.MonkeyPatch, size: int, unwell: int = 0) -> Counter[str]:
    """Make the ring ``early`` so large; what is asked from now on is counted."""
    rows = Rows(account, size, unwell)
    sweeper = Sweeper(
        tables=rows,
        cloudwatch=None,
        table="devices",
        index="by-fleet",
        rings="rings",
        fleets={"main": ("canary", "early", "rest")},
        log=runtime.logger("sweep"),
        now=lambda: account.now,
    )
    monkeypatch.setattr(account.counts, "_sweeper", sweeper)
    account.greengrass.things = {name(number) for number in range(size)}
    calls: Counter[str] = Counter()
    fakes = {"greengrassv2": account.greengrass, "iot": account.greengrass, "sqs": account.counts}
    fakes |= {"stepfunctions": account.machine, "events": account.machine, "dynamodb": account.dynamodb}
    fakes["logs"] = account.logs
    clients = {service: Counted(service, inner, calls) for service, inner in fakes.items()}
    for module in (
        "common.fleet_view",
        "common.log_groups",
        "common.own_devices",
        "common.ring_look",
        "common.rollout_store",
        "rollout_api.handler",
        "rollout_api.planning",
    ):
        monkeypatch.setattr(f"lambdas.{module}.client", clients.__getitem__)
    monkeypatch.setattr("lambdas.rollout_step.handler.client", clients.__getitem__)
    return calls


def rolled_out(account: Account, monkeypatch: pytest.MonkeyPatch, size: int) -> tuple[Counter[str], Counter[str], int]:
    """What one check asked for, what the whole rollout asked for, and the most memory that a check took, bytes."""
    calls = grown(account, monkeypatch, size)
    rollout_id = f"rollout-{size}"
    account.start("ppe", f"{SIZES.index(size) + 1}.0.0", rollout_id, rings=["early"])
    calls.clear()
    account.step("begin", rollout_id)
    begun = Counter(calls)
    account.now += 60
    account.counts.tick(account.now)
    tracemalloc.start()
    assert account.step("check", rollout_id) == "wait"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    check = calls - begun
    assert account.status(rollout_id)["rings"][0]["counts"]["succeeded"] == size
    calls["dynamodb:get_item"] -= 1  # of the look above
    while account.step("check", rollout_id) == "wait":
        account.now += 60
    account.step("finish", rollout_id)
    assert account.status(rollout_id)["status"] == "succeeded"
    calls["dynamodb:get_item"] -= 1
    return check, Counter(calls), peak


def test_a_check_and_a_rollout_ask_for_the_same_whatever_the_size(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for size in SIZES:
        account.greengrass.deployments.clear()
        for group in account.logs.describe_log_groups()["logGroups"]:
            account.logs.delete_log_group(logGroupName=group["logGroupName"])
        found[size] = rolled_out(account, monkeypatch, size)
    checks, rollouts, peaks = zip(*(found[size] for size in SIZES), strict=True)
    assert checks[0] == checks[1] == checks[2]
    assert rollouts[0] == rollouts[1] == rollouts[2]
    assert sum(checks[0].values()) == CALLS_PER_CHECK, checks[0]
    rest = sum(rollouts[0].values()) - rollouts[0]["iot:describe_job"] * CALLS_PER_CHECK
    assert rest == CALLS_PER_RING + CALLS_AT_END, rollouts[0]
    assert max(peaks) < 4 << 20, "each is told by counters, not by devices"


@pytest.mark.parametrize("size", SIZES)
def test_a_count_needs_no_more_memory_for_more_devices(
    account: Account, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    grown(account, monkeypatch, size, unwell=size)
    tracemalloc.start()
    account.counts.count()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20
    summary = read_summary(account.dynamodb, "rings", "main", "early")
    assert summary is not None
    assert (summary.devices, summary.unwell, len(summary.wrong)) == (size, size, min(size, 1_000))


def test_one_of_ten_thousand_that_breaks_is_seen(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    grown(account, monkeypatch, 10_000, unwell=900)
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"], policy=POLICY)
    account.step("begin", "rollout-1")
    account.step("check", "rollout-1")
    monkeypatch.setattr(account.counts._sweeper, "_tables", Rows(account, 10_000, unwell=901))
    account.now += 120
    assert account.step("check", "rollout-1") == "roll-back"
    counts = account.status("rollout-1")["rings"][0]["counts"]
    assert (counts["devices"], counts["newly_unwell"], counts["unhealthy"]) == (10_000, 1, 901)


def test_what_a_rollout_keeps_of_a_large_ring_fits_its_item(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    grown(account, monkeypatch, 10_000, unwell=5_000)
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"], policy=POLICY)
    account.step("begin", "rollout-1")
    item = account.dynamodb.get_item(TableName="rollouts", Key={"rollout_id": {"S": "rollout-1"}})["Item"]
    assert len(json.dumps(item).encode()) < 400_000
    was = account.status("rollout-1")["rings"][0]["unwell_before"]
    assert was[name(0)] == [Condition.CAMERA_DOWN]
    account.step("check", "rollout-1")
    account.now += 120
    # More than are remembered: those without a name count as newly unwell, and the ring does not pass.
    assert account.step("check", "rollout-1") == "roll-back"
