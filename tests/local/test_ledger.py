"""The ledger: each alert once, the sequence as far as it is complete, across restarts."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.conftest import PROPERTY
from vedette.local.ledger import Entry, Ledger, NotForLedgerError


def alert(seq: int, epoch: str = "e", alert_id: str | None = None) -> Entry:
    document = {"epoch": epoch, "seq": seq, "alert_id": alert_id or f"{epoch}-{seq}", "alert": {}}
    return Entry.parse(json.dumps(document).encode())


def tombstone(**fields: Any) -> Entry:
    return Entry.parse(json.dumps({"epoch": "e", "tombstone": "evicted", **fields}).encode())


def record(ledger: Ledger, *entries: Entry) -> dict[str, int]:
    return ledger.record(entries, received_s=1.0)


def test_sequences_grow_only_without_gaps(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    assert record(ledger, alert(2)) == {"e": 0}
    assert record(ledger, alert(1)) == {"e": 2}
    assert record(ledger, alert(5)) == {"e": 2}
    assert record(ledger, tombstone(from_seq=3, through_seq=4)) == {"e": 5}
    assert record(ledger, tombstone(seq=6)) == {"e": 6}
    assert record(ledger, alert(6), alert(1, "other")) == {"e": 6, "other": 1}
    ledger.close()


def test_repeats_are_kept_once_and_survive_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    record(ledger, alert(1, alert_id="x"), alert(1, alert_id="x"))
    record(ledger, alert(2, alert_id="x"))  # sent again under a new number after an outbox was rebuilt
    ledger.close()
    ledger = Ledger(tmp_path / "l")
    assert record(ledger, alert(2, alert_id="x"), alert(3, alert_id="y")) == {"e": 3}
    assert [(row["alert_id"], row["seq"]) for row in ledger.alerts()] == [("x", 1), ("y", 3)]  # the first stays
    ledger.close()


@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(0, 1 << 30))
@PROPERTY
def test_through_is_the_length_of_the_gapless_start(numbers: list[int], seed: int) -> None:
    random.Random(seed).shuffle(numbers)
    seen: set[int] = set()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "l")
        for number in numbers:
            seen.add(number)
            expected = next(n for n in range(13) if n + 1 not in seen)
            assert record(ledger, alert(number)) == {"e": expected}
        ledger.close()


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"[]",
        b"{}",
        b'{"epoch":"e"}',
        b'{"epoch":"e","alert_id":"x"}',
        b'{"epoch":"e","alert_id":"x","seq":0}',
        b'{"epoch":"e","alert_id":"x","seq":true}',
        b'{"epoch":"e","alert_id":"","seq":1}',
        b'{"epoch":"e","alert_id":"x","seq":9223372036854775808}',
        b'{"epoch":"e","tombstone":"evicted"}',
        b'{"epoch":1,"seq":1,"alert_id":"x"}',
        b"[" * 100_000,
    ],
)
def test_other_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises(NotForLedgerError):
        Entry.parse(payload)


def test_a_tombstone_may_also_be_true() -> None:
    entry = Entry.parse(b'{"epoch":"e","seq":4,"tombstone":true}')
    assert (entry.first, entry.last, entry.alert_id) == (4, 4, None)
