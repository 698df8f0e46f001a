"""R22: faulty implementations of storage and delivery, each of which the meters of this suite have to notice."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults import scorecard, shim
from tests.faults.alert_writer import HOOK
from tests.faults.alerts import new_alert
from tests.faults.scorecard import Row, upper95
from tests.faults.test_brokers import NOT_AUTHORIZED, refused_by
from tests.faults.test_crash_states import crash, record
from tests.faults.test_exactly_once import Trusting, drain
from tests.faults.test_outage import PAGE_BYTES, fill_beyond
from tests.faults.test_oversized import huge_alert, stuck_behind
from tests.faults.test_power_cuts import kills
from tests.faults.test_salvage import Base, Count, make_base, overwrite, try_pattern, zero
from vedette.adapters.actions import iot_core, mqtt
from vedette.adapters.actions.iot_core import CloudLink
from vedette.adapters.outbox import entries, pages, salvage, schema
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.errors import StorageError
from vedette.pipeline import lanes
from vedette.ports.outbox import CLOUD_CHANNEL

Patch = pytest.MonkeyPatch
#: Applies a fault where there is one; then whether the meter shows that something is wrong.
Meter = Callable[[Path, bool, Patch], bool]
SEED: Final = 7
QUOTA: Final = 2 << 20


def lazy_commits(folder: Path, faulty: bool, _: Patch) -> bool:
    """synchronous=NORMAL."""
    folder.mkdir()
    steps = record(folder / "run", shim.build(folder), "normal" if faulty else "")
    return crash(steps, 60, random.Random(SEED)).bad_states > 0


def early_word(folder: Path, faulty: bool, _: Patch) -> bool:
    """Acknowledged before the commit."""
    folder.mkdir()
    return kills(folder, 15, random.Random(SEED), "early" if faulty else "").lost > 0


def refusal_is_final(folder: Path, faulty: bool, patch: Patch) -> bool:
    """NOT_AUTHORIZED taken as final."""
    if faulty:
        patch.setattr(mqtt, "PAYLOAD_FORMAT_INVALID", NOT_AUTHORIZED)
    gone, dead, _ = refused_by(folder, NOT_AUTHORIZED, poison=None)
    return gone + dead > 0


def published_is_delivered(folder: Path, faulty: bool, _: Patch) -> bool:
    """Deleted when published."""
    return drain(folder, 5_000, SEED, Trusting if faulty else CloudLink).lost > 0


def no_quota(folder: Path, faulty: bool, _: Patch) -> bool:
    """Nothing is ever given up."""
    peak, outbox, _critical = fill_beyond(folder, 1 << 40 if faulty else QUOTA, 4_000, random.Random(SEED))
    outbox.close()
    peak.look(folder)
    return peak.main > QUOTA + PAGE_BYTES


def critical_evicted(folder: Path, faulty: bool, patch: Patch) -> bool:
    """The oldest go, whatever they say."""
    if faulty:
        patch.setattr(entries, "keep_quota", _keep_quota_by_age)
    _, outbox, critical = fill_beyond(folder, QUOTA, 4_000, random.Random(SEED))
    with closing(outbox):
        kept = {row.alert_id for row in outbox.rows("app/hook", 0, None, 10_000)}
    return not set(critical) <= kept


def _keep_quota_by_age(connection: sqlite3.Connection, max_bytes: int) -> tuple[dict[str, int], bool]:
    used = schema.used_bytes(connection)
    while used > max_bytes - entries.RESERVE_BYTES:
        for table in ("pending", "alerts"):
            connection.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM alerts ORDER BY id LIMIT 64)")
        used = schema.used_bytes(connection)
    return {}, True


def no_tombstones(folder: Path, faulty: bool, patch: Patch) -> bool:
    """Numbers that will never come are not told."""
    if faulty:
        patch.setattr(entries, "add_tombstone", lambda *_: None)
    _, outbox, _critical = fill_beyond(folder, QUOTA, 4_000, random.Random(SEED))
    with closing(outbox):
        numbers = {row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, 10_000)}
        for stone in outbox.tombstones(10_000):
            numbers |= set(range(stone.from_seq, stone.through_seq + 1))
    return len(numbers) < max(numbers)


def damaged(folder: Path, damage: Callable[[Base], Any]) -> bool:
    base, count = make_base(folder / "base"), Count()
    try_pattern("damage", base.closed, damage(base), base, folder / "damaged", count)
    return bool(count.bad)


def no_page_scan(folder: Path, faulty: bool, patch: Patch) -> bool:
    """Only what the tree leads to is read."""
    if faulty:
        patch.setattr(pages, "rows", lambda *_: iter(()))
    return damaged(folder, lambda base: zero(base.trees["alerts"].root))


def deleted_when_damaged(folder: Path, faulty: bool, patch: Patch) -> bool:
    """A damaged file is replaced by an empty one."""
    if faulty:
        patch.setattr(salvage, "read", lambda *_: salvage.nothing())
    return damaged(folder, lambda _: zero(0))


def one_step_too_far(folder: Path, faulty: bool, patch: Patch) -> bool:
    """A bad page ends the reading."""
    if faulty:
        patch.setattr(salvage, "MAX_ALERT_FAILURES", 1)
        patch.setattr(pages, "rows", lambda *_: iter(()))
    return damaged(folder, lambda base: overwrite(sorted(base.trees["alerts"].leaves)[20], random.Random(SEED)))


def stale_epoch(folder: Path, faulty: bool, patch: Patch) -> bool:
    """A rebuilt outbox keeps the epoch of the old one, whose numbers mean something else."""
    folder.mkdir()
    path = folder / "outbox.db"
    with closing(SqliteOutbox(path)) as outbox:
        outbox.commit("j", 1, {}, [new_alert(n, CLOUD_CHANNEL) for n in range(20)])
        old = outbox.epoch
        outbox.acknowledge(old, 10)
        if faulty:
            patch.setattr("secrets.token_hex", lambda _: old)
        for file in folder.glob("outbox.db*"):
            if not file.name.endswith(".lock"):
                file.unlink()
        outbox.flush()
        outbox.acknowledge(old, 10)  # a word that was on its way
        return len(outbox.rows(CLOUD_CHANNEL, 0, None, 100)) < 10


def no_lock(folder: Path, faulty: bool, patch: Patch) -> bool:
    """Two processes on one outbox."""
    folder.mkdir()
    with closing(SqliteOutbox(folder / "outbox.db")):
        if faulty:
            patch.setattr("vedette.adapters.outbox.file._claim", lambda _: os.open("/dev/null", os.O_RDONLY))
        try:
            SqliteOutbox(folder / "outbox.db").close()
        except StorageError:
            return False
    return True


def too_large(folder: Path, faulty: bool, patch: Patch) -> bool:
    """Alerts go to the cloud as large as they are."""
    if faulty:
        patch.setattr(iot_core, "MAX_PAYLOAD_BYTES", 1 << 20)
    chance = random.Random(SEED)
    return stuck_behind(folder, [huge_alert(chance) for _ in range(30)]) > 0


def first_in_first_out(folder: Path, faulty: bool, patch: Patch) -> bool:
    """Fresh alerts wait for the backlog."""
    folder.mkdir()
    if faulty:
        patch.setattr(lanes, "OVERTAKE_S", 1e9)
        patch.setattr(lanes, "MAX_COUNTED", 1 << 40)
    with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
        picked = lanes.Lanes(outbox, HOOK, 10)
        for begin in range(0, 3_000, 500):
            outbox.commit("j", begin, {}, [new_alert(n, HOOK) for n in range(begin, begin + 500)])
        picked.pick()
        outbox.commit("j", 3_000, {}, [new_alert(3_000, HOOK)])
        return not any(row.row_id == 3_001 for _ in range(8) for row in picked.pick())


def wall_clock(folder: Path, faulty: bool, _: Patch) -> bool:
    """The wall clock in place of the monotonic one."""
    folder.mkdir()
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.faults.clock_program",
            "acknowledgement",
            str(folder),
            "1",
            *(["wall"] if faulty else []),
        ],
        env=shim.environment(shim.build(folder), clock=shim.Knob(folder / "clock")),
        cwd=scorecard.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return '"2 h back": true' not in said.stdout


MUTANTS: Final[tuple[Meter, ...]] = (
    lazy_commits,
    early_word,
    refusal_is_final,
    published_is_delivered,
    no_quota,
    critical_evicted,
    no_tombstones,
    no_page_scan,
    deleted_when_damaged,
    one_step_too_far,
    stale_epoch,
    no_lock,
    too_large,
    first_in_first_out,
    wall_clock,
)


def test_r22_mutants(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun_s = time.monotonic()
    caplog.set_level(logging.CRITICAL)
    survived: list[str] = []
    blamed: list[str] = []
    for meter in MUTANTS:
        for faulty, names in ((True, survived), (False, blamed)):
            folder = tmp_path / f"{meter.__name__}-{faulty}"
            with pytest.MonkeyPatch.context() as patch:
                if meter(folder, faulty, patch) is not faulty:
                    names.append((meter.__doc__ or "").rstrip("."))
            if folder.is_dir():
                shutil.rmtree(folder)
    caught = len(MUTANTS) - len(survived)
    row = Row(
        "R22",
        "faulty implementations of storage, delivery and time that this suite catches",
        100.0 * caught / len(MUTANTS),
        "%",
        len(MUTANTS),
        ">= 95 %",
        passed=caught >= 0.95 * len(MUTANTS) and not blamed,
        upper95=upper95(len(survived), len(MUTANTS)),
        seed=SEED,
        notes="Each meter is silent on the product itself. "
        + "; ".join((meter.__doc__ or "").rstrip(".") for meter in MUTANTS)
        + f". Survived: {survived or 'none'}. Blamed without a fault: {blamed or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
