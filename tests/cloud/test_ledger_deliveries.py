"""Deliveries in any order, repeated, with crashes and refusals between: what holds at every moment, and at the end."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cloud import functions_account
from tests.cloud.functions_account import LEDGER, Account, Crash, Queue, body, throttled

THING, EPOCH = "edge-1", "4f1c"
#: Messages that a device sends at a time.
ROUND = 10


class Device:
    """The device's side: an outbox that keeps what is not acknowledged, and sends it again and again.

    Args:
        alerts: sequence numbers of alerts.
        tombstones: numbers given up, first and last.
    """

    def __init__(self, alerts: list[int], tombstones: list[tuple[int, int]]) -> None:
        self.kept: dict[int, Any] = {seq: self._alert(seq) for seq in alerts}
        self.kept |= {
            last: {"epoch": EPOCH, "from_seq": first, "through_seq": last, "tombstone": "evicted", "thing": THING}
            for first, last in tombstones
        }
        self.given_up = {seq for first, last in tombstones for seq in range(first, last + 1)}
        self.last = max(self.kept)

    @staticmethod
    def _alert(seq: int) -> Any:
        document, alert_id = body("ledger-alert"), f"{seq:032x}"
        return document | {"seq": seq, "alert_id": alert_id, "alert": document["alert"] | {"alert_id": alert_id}}

    def watch(self, account: Account) -> None:
        """Each acknowledgement must be true at the moment when it is sent."""

        def check(**said: Any) -> None:
            through = json.loads(said["payload"])["through_seq"]
            stored = {int(item["seq"]["N"]) for item in account.items(LEDGER)}
            assert set(range(1, through + 1)) <= stored | self.given_up, "acknowledged and not stored"

        account.iot.before["publish"] = check

    def hear(self, account: Account) -> None:
        """Take acknowledgements in."""
        through = max((said["through_seq"] for _, said in account.acknowledged()), default=0)
        self.kept = {seq: message for seq, message in self.kept.items() if seq > through}


def make_trouble(account: Account, chance: random.Random, share: float) -> None:
    """Any request may be refused before it is done, or the process may die right after."""

    def refuse(**_: Any) -> None:
        if chance.random() < share:
            raise throttled("AnyOperation")

    def die(**_: Any) -> None:
        if chance.random() < share / 3:
            raise Crash

    for client in (account.tables, account.sns, account.events, account.firehose, account.iot):
        client.before["*"] = refuse
        client.after["*"] = die


def end_trouble(account: Account) -> None:
    for client in (account.tables, account.sns, account.events, account.firehose, account.iot):
        client.before.pop("*")
        client.after.pop("*")


def run(device: Device, chance: random.Random, deliveries: int, share: float) -> None:
    """So many messages under trouble, then until the outbox is empty; checks all that is promised."""
    everything = list(device.kept.values())
    alerts = {f"{seq:032x}" for seq in device.kept} - {f"{last:032x}" for last in device.given_up}
    with functions_account.account() as account:
        queue, keeper = Queue(account, chance), account.keeper()
        device.watch(account)
        make_trouble(account, chance, share)
        for _ in range(deliveries // ROUND):
            # What an uplink has on its way; and what was acknowledged and is still underway.
            first = [device.kept[seq] for seq in sorted(device.kept)[: ROUND // 2]] or everything
            for message in chance.choices(first, k=ROUND - 1) + chance.choices(everything, k=1):
                queue.send(message)
            account.now_s += chance.random() * 60
            queue.deliver(keeper)
            if chance.random() < 0.5:
                device.hear(account)
        end_trouble(account)
        for _ in range(3):
            for message in device.kept.values():
                queue.send(message)
            queue.drain(keeper)
            device.hear(account)
        assert device.kept == {}, "never acknowledged"
        rows = account.items(LEDGER)
        assert sorted(item["alert_id"]["S"] for item in rows) == sorted(alerts), "each once"
        assert all("notified_at" in item for item in rows)
        assert {one["alert_id"] for one in account.told()} == alerts, "everybody was told of each"
        assert {one["alert_id"] for one in account.rows} == alerts
        assert account.acknowledged()[-1][1] == {"epoch": EPOCH, "through_seq": device.last}


def test_a_thousand_deliveries_of_sixty_alerts() -> None:
    alerts = [seq for seq in range(1, 71) if not 21 <= seq <= 30]
    run(Device(alerts, [(21, 26), (27, 30)]), random.Random(11), 1_000, 0.1)


@given(st.integers(2, 14), st.integers(0, 3), st.integers(0, 2**32), st.sampled_from([0.3, 0.1]))
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_any_deliveries(alerts: int, hole: int, seed: int, share: float) -> None:
    """Alerts 1 to n with a tombstone in the middle."""
    middle = alerts // 2
    numbers = [*range(1, middle + 1), *range(middle + hole + 1, alerts + hole + 1)]
    stones = [(middle + 1, middle + hole)] if hole else []
    run(Device(numbers, stones), random.Random(seed), 80, share)


def test_without_trouble_people_are_told_exactly_once() -> None:
    with functions_account.account() as account:
        device, chance = Device(list(range(1, 31)), []), random.Random(5)
        queue, keeper = Queue(account, chance), account.keeper()
        for message in [*device.kept.values()] * 3:
            queue.send(message)
        queue.drain(keeper)
        assert sorted(one["alert_id"] for one in account.told()) == sorted(f"{seq:032x}" for seq in range(1, 31))
        assert len(account.sent) == len(account.rows) == 30
