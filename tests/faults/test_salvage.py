"""R18: thirty ways to damage an outbox; what can be read must be read, quickly."""

from __future__ import annotations

import json
import logging
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.faults import scorecard
from tests.faults.alerts import new_alert
from tests.faults.scorecard import Anchor, Control, Row, upper95
from tests.faults.sqlite_pages import PAGE, Tree, trees
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.ports.outbox import CLOUD_CHANNEL

ALERTS: Final = 2_000
HOOK: Final = "app/hook"
GOAL_S: Final = 2.0

Damage = Callable[[Path], None]


@dataclass
class Base:
    """An outbox as it lay on the disk, in two forms: closed, and in use with a log beside it."""

    closed: Path
    open: Path
    trees: dict[str, Tree]


@dataclass
class Count:
    """What was found over all patterns."""

    tried: int = 0
    readable: int = 0
    salvaged: int = 0
    slowest_s: float = 0.0
    bad: list[str] = field(default_factory=list)


def make_base(folder: Path) -> Base:
    """Alerts for a hook and the cloud; the hook has the first ten."""
    where = folder / "made"
    where.mkdir(parents=True)
    outbox = SqliteOutbox(where / "outbox.db")
    for begin in range(0, ALERTS, 100):
        some = [new_alert(n, HOOK, CLOUD_CHANNEL) for n in range(begin, begin + 100)]
        outbox.commit("journal", begin + 99, {"n": begin + 99}, some)
    outbox.delivered(HOOK, list(range(1, 11)))
    shutil.copytree(where, folder / "open", ignore=lambda *_: ["outbox.db-shm", "outbox.db.lock"])
    outbox.close()
    shutil.copytree(where, folder / "closed", ignore=lambda *_: ["outbox.db.lock"])
    return Base(folder / "closed", folder / "open", trees(folder / "closed" / "outbox.db"))


# -- damage ------------------------------------------------------------


def overwrite(page: int, chance: random.Random) -> Damage:
    """A page full of nonsense."""

    def damage(folder: Path) -> None:
        with (folder / "outbox.db").open("r+b") as file:
            file.seek(page * PAGE)
            file.write(chance.randbytes(PAGE))

    return damage


def zero(page: int) -> Damage:
    def damage(folder: Path) -> None:
        with (folder / "outbox.db").open("r+b") as file:
            file.seek(page * PAGE)
            file.write(bytes(PAGE))

    return damage


def cut(name: str, share: float) -> Damage:
    """Only so much of a file is left."""

    def damage(folder: Path) -> None:
        path = folder / name
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * share))

    return damage


def spoil(name: str, share: float, chance: random.Random) -> Damage:
    """Sixteen bytes in the middle of a file."""

    def damage(folder: Path) -> None:
        path = folder / name
        with path.open("r+b") as file:
            file.seek(int(path.stat().st_size * share))
            file.write(chance.randbytes(16))

    return damage


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def patterns(base: Base, chance: random.Random) -> list[tuple[str, Path, Damage]]:
    """Name, form and damage."""
    alerts, pending, seen = base.trees["alerts"], base.trees["pending"], base.trees["seen"]
    leaves = sorted(alerts.leaves)
    closed, opened = base.closed, base.open
    found: list[tuple[str, Path, Damage]] = [
        ("header zeroed", closed, zero(0)),
        ("header overwritten", closed, overwrite(0, chance)),
        ("root of the alerts overwritten", closed, overwrite(alerts.root, chance)),
        ("root of the alerts zeroed", closed, zero(alerts.root)),
        ("root of the queues overwritten", closed, overwrite(pending.root, chance)),
        ("leaf of the queues overwritten", closed, overwrite(chance.choice(sorted(pending.leaves)), chance)),
        ("leaf of the queues zeroed", closed, zero(chance.choice(sorted(pending.leaves)))),
        ("root of the ids overwritten", closed, overwrite(seen.root, chance)),
        ("leaf of the ids overwritten", closed, overwrite(chance.choice(sorted(seen.leaves)), chance)),
        ("half the file is missing", closed, cut("outbox.db", 0.5)),
        ("a tenth of the file is missing", closed, cut("outbox.db", 0.9)),
        ("three quarters are missing", closed, cut("outbox.db", 0.25)),
        ("the file is empty", closed, cut("outbox.db", 0.0)),
        ("the file is gone", closed, remove("outbox.db")),
        ("the file is gone, its log is not", opened, remove("outbox.db")),
        ("the log is gone", opened, remove("outbox.db-wal")),
        ("the log's header overwritten", opened, spoil("outbox.db-wal", 0.0, chance)),
        ("the log is empty", opened, cut("outbox.db-wal", 0.0)),
    ]
    found += [(f"a leaf of the alerts ({n})", closed, overwrite(chance.choice(leaves), chance)) for n in range(3)]
    found += [(f"a leaf of the alerts zeroed ({n})", closed, zero(chance.choice(leaves))) for n in range(2)]
    found += [(f"{100 * share:.0f} % of the log", opened, cut("outbox.db-wal", share)) for share in (0.25, 0.6, 0.95)]
    found += [(f"log spoilt ({n})", opened, spoil("outbox.db-wal", chance.random(), chance)) for n in range(2)]
    for name in ("judge", "meta"):
        found.append((f"page of {name} overwritten", closed, overwrite(base.trees[name].root, chance)))
    for name in ("alerts_cloud", "alerts_evictable"):
        found.append((f"root of the index {name} overwritten", closed, overwrite(base.trees[name].root, chance)))
    return found


# -- what can be read ------------------------------------------------------------


def readable(folder: Path, base: Base) -> set[int]:
    """Alerts whose bytes are all there, by what SQLite says of the log, and by their pages where there is none."""
    path = folder / "outbox.db"
    if (folder / "outbox.db-wal").exists() and path.exists():
        copy = folder.with_name("reading")
        shutil.copytree(folder, copy)
        try:
            with closing(sqlite3.connect(copy / "outbox.db")) as connection:
                return {row[0] for row in connection.execute("SELECT id FROM alerts")}
        except sqlite3.Error:
            return set()
        finally:
            shutil.rmtree(copy)
    if not path.exists():
        return set()
    whole, now = (base.closed / "outbox.db").read_bytes(), path.read_bytes()
    found: set[int] = set()
    for page, row_ids in base.trees["alerts"].leaves.items():
        begin = page * PAGE
        if whole[begin : begin + PAGE] == now[begin : begin + PAGE]:
            found |= set(row_ids)
    return found


def try_pattern(name: str, form: Path, damage: Damage, base: Base, folder: Path, count: Count) -> None:
    """Damage a copy, open it, and compare."""
    shutil.copytree(form, folder)
    damage(folder)
    wanted = readable(folder, base)
    begun_s = time.monotonic()
    with closing(SqliteOutbox(folder / "outbox.db")) as outbox:
        number = ALERTS + count.tried + 1
        outbox.commit("journal", ALERTS, {}, [new_alert(number, HOOK, CLOUD_CHANNEL)])
        rows = {channel: outbox.rows(channel, 0, None, 2 * ALERTS) for channel in (HOOK, CLOUD_CHANNEL)}
        took_s = time.monotonic() - begun_s
        rows = {channel: outbox.rows(channel, 0, None, 2 * ALERTS) for channel in (HOOK, CLOUD_CHANNEL)}
        found = {c: {round(json.loads(row.body)["media_time_s"]) + 1 for row in rows[c]} for c in rows}
        seqs = [row.seq for row in rows[CLOUD_CHANNEL]]
        damaged = outbox.damage
    shutil.rmtree(folder)
    have = found[HOOK] & found[CLOUD_CHANNEL]
    missing = (wanted - set(range(1, 11))) - found[HOOK] | wanted - found[CLOUD_CHANNEL]
    count.tried += 1
    count.readable += len(wanted)
    count.salvaged += len(wanted - missing)
    count.slowest_s = max(count.slowest_s, took_s)
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(wanted)} readable alerts missing")
    if number + 1 not in have:
        problems.append("a new alert is missing")
    if not seqs or seqs != list(range(seqs[0], seqs[0] + len(seqs))) or (damaged is not None and seqs[0] != 1):
        problems.append("the cloud's sequence has holes")
    if took_s > GOAL_S:
        problems.append(f"{took_s:.1f} s")
    if damaged is not None and damaged.code != "V403":
        problems.append("not reported as V403")
    if problems:
        count.bad.append(f"{name}: {', '.join(problems)}")


def test_r18_damaged_outbox(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    caplog.set_level(logging.CRITICAL)
    base = make_base(tmp_path / "base")
    count = Count()
    for name, form, damage in patterns(base, random.Random(seed)):
        try_pattern(name, form, damage, base, tmp_path / "damaged", count)
    blind = Count()
    # The same meter over what the AWS disk spooler does with a damaged file: delete it.
    deleted = [remove("outbox.db")]
    whole = {n for row_ids in base.trees["alerts"].leaves.values() for n in row_ids}
    shutil.copytree(base.closed, tmp_path / "deleted")
    for damage in deleted:
        damage(tmp_path / "deleted")
    with closing(SqliteOutbox(tmp_path / "deleted" / "outbox.db")) as outbox:
        blind.salvaged = len(outbox.rows(HOOK, 0, None, ALERTS))
    lost = count.readable - count.salvaged
    row = Row(
        "R18",
        "readable alerts of a damaged outbox that were not read",
        lost,
        "alerts",
        count.tried,
        "0; each within 2 s",
        passed=not count.bad and blind.salvaged < len(whole),
        upper95=upper95(len(count.bad), count.tried),
        control=Control("the file deleted", len(whole) - blind.salvaged, blind.salvaged < len(whole)),
        anchors=(Anchor("AWS disk spooler: the file is deleted", "none read", "documented"),),
        seed=seed,
        notes=f"{count.tried} patterns of damage, {count.salvaged:,} of {count.readable:,} readable alerts read, "
        f"slowest {count.slowest_s:.2f} s. {'; '.join(count.bad)}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
