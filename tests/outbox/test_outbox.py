"""The outbox under a quota, on a full disk, damaged, removed, claimed twice, from another release."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.outbox.samples import alert, new
from vedette.adapters.outbox import pages, salvage, schema
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import Severity
from vedette.contracts.errors import StorageError
from vedette.ports.outbox import CLOUD_CHANNEL, Gap, NewAlert, Origin, Outbox

REPOSITORY = Path(__file__).resolve().parents[2]
Open = Callable[..., SqliteOutbox]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def open_outbox(path: Path) -> Iterator[Open]:
    made: list[SqliteOutbox] = []

    def make(max_bytes: int = 2 << 30) -> SqliteOutbox:
        made.append(SqliteOutbox(path, max_bytes=max_bytes))
        return made[-1]

    yield make
    for outbox in made:
        outbox.close()


def ids(outbox: Outbox, channel: str) -> list[int]:
    return [row.row_id for row in outbox.rows(channel, 0, None, 1_000_000)]


def fill(outbox: SqliteOutbox, first: int, last: int, *channels: str, severity: Severity = Severity.INFO) -> None:
    for begin in range(first, last, 100):
        alerts = [new(n, *channels, severity=severity) for n in range(begin, min(begin + 100, last))]
        outbox.commit("j", begin, {}, alerts)


def test_a_new_outbox_says_so_and_remembers(open_outbox: Open) -> None:
    outbox = open_outbox()
    assert outbox.resume().origin is Origin.FRESH
    outbox.commit("journal-a", 7, {"rule": {"open": [1, 2]}})
    outbox.close()
    again = open_outbox().resume()
    assert (again.origin, again.journal, again.cursor) == (Origin.RESUMED, "journal-a", 7)
    assert again.state == {"rule": {"open": [1, 2]}}


def test_two_processes_cannot_have_it(open_outbox: Open) -> None:
    open_outbox()
    with pytest.raises(StorageError, match="in use") as caught:
        open_outbox()
    assert caught.value.code == "V401"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        SqliteOutbox(tmp_path / "none" / "outbox.db")
    assert caught.value.code == "V401"


def test_others_cannot_read_it(open_outbox: Open, path: Path) -> None:
    open_outbox().commit("j", 1, {}, [new(1, "hook")])
    for file in path.parent.glob("outbox.db*"):
        assert file.stat().st_mode & 0o007 == 0, file


def test_several_threads_share_a_flush(open_outbox: Open) -> None:
    outbox = open_outbox()
    fill(outbox, 0, 800, "a", "b", "c", "d")
    begun = outbox._file._writer.commits

    def deliver(channel: str) -> None:
        for number in range(1, 101):
            outbox.delivered(channel, [number])

    threads = [threading.Thread(target=deliver, args=(channel,)) for channel in ("a", "b", "c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    commits = outbox._file._writer.commits - begun
    assert commits < 400
    assert [len(ids(outbox, channel)) for channel in ("a", "b", "c", "d")] == [700] * 4


def test_gaps_are_kept_within_bounds_and_summed(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox()
    for number in range(30):
        outbox.commit("j", number, {}, gaps=[Gap("app/p", "gate", float(number), 2.0, "why")] * 50)
    assert outbox.health().not_analysed_s == 3000.0
    outbox.commit("j", 31, {}, [new(1, "hook")])
    outbox.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM gaps").fetchone()[0] == 1000
    connection.close()


def test_dead_letters_are_kept_with_their_reason_within_bounds(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox()
    fill(outbox, 0, 1200, "gone")
    outbox.refused(outbox.rows("gone", 0, None, 1)[0], "410 Gone")
    assert outbox.abandon("gone", "the action is no more") == 1199
    outbox.commit("j", 1, {}, [new(2000, "hook")])
    assert outbox.health().dead_letters == 1200
    outbox.close()
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT reason, count(*) FROM dead_letters GROUP BY reason").fetchall()
        assert rows == [("the action is no more", 1000)]
        assert connection.execute("SELECT count(*) FROM alerts").fetchone()[0] == 1
    connection.close()


# -- quota ------------------------------------------------------------

QUOTA = 1 << 20


def test_the_least_severe_and_oldest_go_first_and_the_cloud_is_told(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox(max_bytes=QUOTA)
    fill(outbox, 0, 300, "hook", CLOUD_CHANNEL, severity=Severity.CRITICAL)
    fill(outbox, 300, 500, "hook", CLOUD_CHANNEL, severity=Severity.WARNING)
    fill(outbox, 500, 2200, "hook", CLOUD_CHANNEL, severity=Severity.INFO)
    health = outbox.health()
    evicted = health.evicted["info"]
    assert evicted > 0
    assert "warning" not in health.evicted
    kept = ids(outbox, "hook")
    assert kept == [*range(1, 501), *range(501 + evicted, 2201)], "oldest info first"
    assert ids(outbox, CLOUD_CHANNEL) == kept
    stones = outbox.tombstones(10)
    assert [(s.from_seq, s.through_seq, s.tombstone) for s in stones] == [(501, 500 + evicted, "evicted")]
    assert health.used_bytes <= QUOTA
    assert health.channels["hook"].pending == len(kept)
    fill(outbox, 2200, 2500, "hook", CLOUD_CHANNEL, severity=Severity.WARNING)
    fill(outbox, 2500, 4100, "hook", severity=Severity.CRITICAL)
    health = outbox.health()
    assert "full of critical" in health.problem
    assert set(range(1, 301)) <= set(ids(outbox, "hook"))
    assert set(range(2501, 4101)) <= set(ids(outbox, "hook")), "critical ones are never given up"
    outbox.delivered("hook", ids(outbox, "hook"))
    outbox.commit("j", 1, {}, [new(5000, "hook")])
    assert outbox.health().problem == ""
    assert outbox.rows("hook", 0, None, 10)[0].row_id == 4101


def test_the_file_stays_within_its_quota(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox(max_bytes=QUOTA)
    fill(outbox, 0, 6000, "hook")
    outbox.close()
    assert path.stat().st_size <= QUOTA + 100 * 4096, "one commit of a hundred alerts may stretch it"


# -- a disk that refuses ------------------------------------------------------------


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_full_disk_is_said_and_survived(open_outbox: Open, path: Path, end: str) -> None:
    program = subprocess.run(
        [sys.executable, "-m", "tests.outbox.full_disk_program", path, end],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = json.loads(program.stdout)
    assert told["durable"] is False
    assert "V404" in told["problem"]
    assert told["volatile"] == 20
    assert told["hook"] == list(range(1, 26)), "delivered from memory"
    assert told["cloud"] == 5, "but not to the cloud: its numbers must be on disk first"
    assert told["full"] == "V404"
    assert told["left"] == [3, 4, 5, *range(8, 26)]
    assert told["repeat"] == 0
    assert told["after"] is True
    outbox = open_outbox()
    assert ids(outbox, "hook") == [3, 4, 5, *range(8, 26)]
    assert [row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, 100)] == list(range(1, 26))
    assert outbox.resume().state == {"n": 24}


# -- damage ------------------------------------------------------------


def make_full(open_outbox: Open, number: int = 2000) -> str:
    outbox = open_outbox()
    fill(outbox, 0, number, "hook", CLOUD_CHANNEL)
    outbox.delivered("hook", list(range(1, 11)))
    outbox.commit("journal-a", 77, {"x": 1})
    epoch = outbox.epoch
    outbox.close()
    return epoch


def overwrite(path: Path, page: int, pages: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096 * pages)


def test_a_destroyed_header_costs_nothing(open_outbox: Open, path: Path) -> None:
    epoch = make_full(open_outbox)
    overwrite(path, 0)
    begun_s = time.monotonic()
    outbox = open_outbox()
    assert time.monotonic() - begun_s < 2.0
    assert outbox.damage is not None
    assert outbox.damage.code == "V403"
    assert ids(outbox, "hook") == list(range(11, 2001))
    assert [row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, 5000)] == list(range(1, 2001))
    assert outbox.epoch != epoch
    assert outbox.resume().cursor == 77
    assert outbox.health().salvaged == 2000
    assert (path.parent / "outbox-damaged.db").exists()
    assert outbox.commit("j", 78, {}, [new(5, "hook")]) == 0, "what was had is still known"
    outbox.commit("j", 78, {}, [new(9000, "hook")])
    assert ids(outbox, "hook")[-1] == 2001


def test_any_page_may_be_bad(open_outbox: Open, path: Path) -> None:
    make_full(open_outbox)
    whole = path.read_bytes()
    pages = len(whole) // 4096
    worst = 2000
    for page in range(1, pages, max(1, pages // 25)):
        path.write_bytes(whole)
        overwrite(path, page)
        begun_s = time.monotonic()
        outbox = open_outbox()
        outbox.commit("j", 78, {}, [new(9000 + page, "hook", CLOUD_CHANNEL)])
        found = {row.alert_id: row for row in outbox.rows("hook", 0, None, 5000)}
        assert new(9000 + page).alert.alert_id in found
        seqs = [row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, 5000)]
        health = outbox.health()
        outbox.rows("hook", 0, None, 5000)
        assert time.monotonic() - begun_s < 5.0
        if outbox.damage is not None:
            seqs = [row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, 5000)]
            assert seqs == list(range(1, len(seqs) + 1))
            worst = min(worst, health.salvaged or 2000)
        outbox.close()
        for file in path.parent.glob("outbox*"):
            file.unlink()
    assert worst < 2000, "a page of alerts was among them"


def roots(path: Path) -> dict[str, int]:
    """Page numbers, from 0, at which tables begin."""
    with sqlite3.connect(path) as connection:
        found = dict(connection.execute("SELECT name, rootpage - 1 FROM sqlite_master WHERE rootpage").fetchall())
    connection.close()
    return found


def test_alerts_below_a_lost_page_are_read_off_their_own(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox()
    fill(outbox, 0, 300, "hook", CLOUD_CHANNEL)
    crowd = alert(300).model_copy(update={"boxes": ((1.0, 2.0, 3.0, 4.0),) * 900})
    long = NewAlert(crowd, ("hook", CLOUD_CHANNEL))  # longer than a page
    outbox.commit("j", 300, {}, [long])
    outbox.delivered("hook", list(range(1, 101)))
    outbox.acknowledge(outbox.epoch, 100)  # these are gone: their pages are free
    outbox.close()
    overwrite(path, roots(path)["alerts"])
    outbox = open_outbox()
    assert ids(outbox, "hook") == list(range(101, 302))
    assert ids(outbox, CLOUD_CHANNEL) == list(range(101, 302))
    assert outbox.rows("hook", 300, None, 1)[0].body == long.alert.model_dump_json(exclude_none=True).encode()
    assert outbox.damage is not None


def test_the_alert_before_a_bad_page_is_read_too(open_outbox: Open, path: Path) -> None:
    make_full(open_outbox)
    whole = [row[0] for row in pages.rows(path, salvage.ALERT_COLUMNS)]
    assert sorted(whole) == list(range(1, 2001))
    content = path.read_bytes()
    parts = [content[at : at + 4096] for at in range(0, len(content), 4096)]
    leaf = next(number for number, part in enumerate(parts) if part[0] == 0x0D and b"crossing" in part)
    overwrite(path, leaf)
    readable = {row[0] for row in pages.rows(path, salvage.ALERT_COLUMNS)}
    assert 0 < len(readable) < 2000
    assert set(ids(open_outbox(), CLOUD_CHANNEL)) == readable


def test_a_log_cut_short_keeps_what_was_before(open_outbox: Open, path: Path, tmp_path: Path) -> None:
    outbox = open_outbox()
    fill(outbox, 0, 500, "hook")
    copy = tmp_path / "copy" / "outbox.db"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    log = Path(f"{path}-wal").read_bytes()
    Path(f"{copy}-wal").write_bytes(log[: len(log) * 2 // 3])
    other = SqliteOutbox(copy)
    found = ids(other, "hook")
    other.close()
    assert found == list(range(1, len(found) + 1))
    assert 0 < len(found) < 500


def test_damage_found_while_running_is_repaired(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox()
    fill(outbox, 0, 3000, "hook", CLOUD_CHANNEL)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    epoch = outbox.epoch
    pages = path.stat().st_size // 4096
    overwrite(path, pages // 3, pages // 2)
    outbox._file._reader.execute("PRAGMA shrink_memory")
    before = outbox.acknowledge(epoch, 10)
    outbox.commit("j", 1, {}, [new(9000, "hook", CLOUD_CHANNEL)])
    hook = ids(outbox, "hook")
    assert hook[-1] == 3001
    seqs = [row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, 5000)]
    if outbox.damage is None:  # the caches had every page that was asked for; a restart has to find it
        outbox.close()
        outbox = open_outbox()
        ids(outbox, "hook")
        seqs = [row.seq for row in outbox.rows(CLOUD_CHANNEL, 0, None, 5000)]
    assert outbox.damage is not None
    assert outbox.epoch != epoch
    assert seqs == list(range(1, len(seqs) + 1))
    assert before <= 10
    assert outbox.acknowledge(epoch, 20) == 0, "of an epoch that is no more"


def test_a_removed_file_is_written_out_again(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox()
    fill(outbox, 0, 50, "hook")
    for file in path.parent.glob("outbox.db*"):
        if not file.name.endswith(".lock"):
            file.unlink()
    outbox.flush()
    outbox.commit("j", 1, {}, [new(100, "hook")])
    outbox.close()
    assert ids(open_outbox(), "hook") == list(range(1, 52))


def test_a_position_that_cannot_be_read_is_lost_not_fresh(open_outbox: Open, path: Path) -> None:
    make_full(open_outbox)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE judge SET state = 'not json'")
    connection.close()
    assert open_outbox().resume().origin is Origin.LOST


# -- formats ------------------------------------------------------------


def test_an_older_file_is_brought_up_to_date(path: Path, open_outbox: Open) -> None:
    make_full(open_outbox, 20)
    newer = (*schema.MIGRATIONS, ("ALTER TABLE gaps ADD COLUMN extra TEXT",))
    connection = schema.open_database(path, migrations=newer)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(newer)
    assert connection.execute("SELECT count(*) FROM alerts").fetchone()[0] == 20
    connection.close()
    with pytest.raises(StorageError, match=f"format {len(newer)}") as caught:
        open_outbox()
    assert caught.value.code == "V401"


def test_a_migration_that_fails_changes_nothing(path: Path, open_outbox: Open) -> None:
    make_full(open_outbox, 20)
    broken = (*schema.MIGRATIONS, ("ALTER TABLE gaps ADD COLUMN extra TEXT", "NONSENSE"))
    with pytest.raises(sqlite3.OperationalError):
        schema.open_database(path, migrations=broken)
    assert len(ids(open_outbox(), CLOUD_CHANNEL)) == 20


def test_a_batch_with_the_same_alert_twice(open_outbox: Open) -> None:
    outbox = open_outbox()
    twice: list[NewAlert] = [new(1, "hook"), new(1, "hook")]
    assert outbox.commit("j", 1, {}, twice) == 1
    assert ids(outbox, "hook") == [1]
