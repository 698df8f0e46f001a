"""The journal as its writers and its reader meet it: several processes, kills, damage, a full disk."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journal.samples import batch
from vedette.adapters.journal import files
from vedette.adapters.journal.retention import JournalRetention
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.contracts.errors import StorageError
from vedette.contracts.journal import JournalRow
from vedette.contracts.tracks import TrackBatch

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT_S = 20.0

MakeWriter = Callable[..., SqliteJournalWriter]


@pytest.fixture
def journal(short_tmp: Path) -> Path:
    return short_tmp / "journal.db"


@pytest.fixture
def make_writer(journal: Path) -> Iterator[MakeWriter]:
    made: list[SqliteJournalWriter] = []

    def make(bell: Path | None = None) -> SqliteJournalWriter:
        made.append(SqliteJournalWriter(journal, bell))
        return made[-1]

    yield make
    for writer in made:
        writer.close()


@pytest.fixture
def reader(journal: Path) -> Iterator[SqliteJournalReader]:
    with_bell = SqliteJournalReader(journal)
    yield with_bell
    with_bell.close()


def start(*arguments: object, program: str = "writer_program") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.journal.{program}", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def everything(reader: SqliteJournalReader) -> list[tuple[int, TrackBatch]]:
    reader.identity()
    found: list[tuple[int, JournalRow]] = []
    while True:
        part = reader.read(found[-1][0] if found else 0, 500)
        if not part:
            return [(seq, row) for seq, row in found if isinstance(row, TrackBatch)]
        found.extend(part)


def committed(writer: SqliteJournalWriter, count: int) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while writer.stats().committed < count:
        assert time.monotonic() < deadline_s, writer.stats()
        time.sleep(0.002)


def test_what_is_appended_is_read_in_order(make_writer: MakeWriter, reader: SqliteJournalReader) -> None:
    writer = make_writer()
    for number in range(100):
        writer.append(batch(number, boxes=((1, 2, 3, 4),)))
    committed(writer, 100)
    found = everything(reader)
    assert [each.frame.frame_no for _seq, each in found] == list(range(100))
    assert [seq for seq, _ in found] == sorted({seq for seq, _ in found})
    assert found[7][1] == batch(7, boxes=((1, 2, 3, 4),))


def test_a_reader_may_come_before_the_journal(
    make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path
) -> None:
    assert reader.identity() == ""
    assert reader.read(0, 10) == []
    assert reader.last("app/people", "gate", 0) is None
    assert not journal.exists(), "only writers make the file"
    writer = make_writer()
    writer.append(batch(1))
    committed(writer, 1)
    assert len(everything(reader)) == 1


def test_several_processes_write_at_once_and_keep_their_order(journal: Path, reader: SqliteJournalReader) -> None:
    writers = [start(f"camera-{index}", 400, journal) for index in range(3)]
    for writer in writers:
        assert writer.communicate(timeout=60)[0].split()[-1] == "400"
    by_camera = defaultdict(list)
    for _seq, each in everything(reader):
        by_camera[each.frame.camera].append(each.frame.frame_no)
    assert by_camera == {f"camera-{index}": list(range(400)) for index in range(3)}


def test_a_killed_writer_loses_nothing_it_had_committed(journal: Path, reader: SqliteJournalReader) -> None:
    chance = random.Random(5)
    told = 0
    for run in range(4):
        writer = start(f"run-{run}", 100_000, journal)
        assert writer.stdout is not None
        for _ in range(chance.randrange(3, 40)):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = max([said, *map(int, writer.stdout.read().split())])
        writer.wait(10)
        writer.stdout.close()
        told += said
        numbers = [each.frame.frame_no for _, each in everything(reader) if each.frame.camera == f"run-{run}"]
        assert len(numbers) >= said
        assert numbers == list(range(len(numbers)))
    assert told > 0
    with sqlite3.connect(journal) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_each_opening_skips_numbers_durably(make_writer: MakeWriter, reader: SqliteJournalReader) -> None:
    for _ in range(2):
        writer = make_writer()
        writer.append(batch(1))
        committed(writer, 1)
        writer.close()
    first, second = (seq for seq, _ in everything(reader))
    assert second - first > files.SEQUENCE_JUMP - 1000
    assert second - first >= files.SEQUENCE_JUMP


def test_the_doorbell_wakes_the_reader_soon(journal: Path, make_writer: MakeWriter) -> None:
    bell = journal.parent / "bell"
    writer = make_writer(bell)  # nobody listens yet
    writer.append(batch(0))
    committed(writer, 1)
    reader = SqliteJournalReader(journal, bell)
    try:
        assert not reader.wait(0.01)
        delays = []
        for number in range(1, 20):
            begun_s = time.monotonic()
            writer.append(batch(number))
            assert reader.wait(WAIT_S)
            while not (found := everything(reader)) or found[-1][1].frame.frame_no < number:
                assert reader.wait(WAIT_S)
            delays.append(time.monotonic() - begun_s)
        assert sorted(delays)[len(delays) // 2] < 0.1, delays
    finally:
        reader.close()


def test_without_a_doorbell_the_reader_looks(make_writer: MakeWriter, reader: SqliteJournalReader) -> None:
    writer = make_writer()
    writer.append(batch(0))
    committed(writer, 1)
    while reader.wait(0.0):
        pass
    timer = threading.Timer(0.05, writer.append, [batch(1)])
    timer.start()
    assert reader.wait(WAIT_S)
    timer.join()


def test_a_path_too_long_for_a_socket_is_refused(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="107") as caught:
        SqliteJournalReader(journal, tmp_path / ("x" * 120))
    assert caught.value.code == "V401"


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        SqliteJournalWriter(tmp_path / "none" / "journal.db")
    assert caught.value.code == "V401"


def test_the_last_batch_of_a_camera(make_writer: MakeWriter, reader: SqliteJournalReader) -> None:
    writer = make_writer()
    for number in range(10):
        writer.append(batch(number, camera="a", at=100.0 + number))
        writer.append(batch(number, camera="b", at=100.0 + number))
    committed(writer, 20)
    found = reader.last("app/people", "a", 105.0)
    assert found is not None
    assert (found.frame.camera, found.frame.frame_no) == ("a", 9)
    assert reader.last("app/people", "a", 109.5) is None
    assert reader.last("app/other", "a", 0.0) is None


def test_what_is_asked_for_is_found_however_far_back(
    make_writer: MakeWriter, reader: SqliteJournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vedette.adapters.journal.reader.NEAR_LIMIT", 4)
    monkeypatch.setattr("vedette.adapters.journal.reader.LAST_LIMIT", 30)
    writer = make_writer()
    for number in range(40):
        writer.append(batch(number, camera="b" if number % 10 else "a", at=100.0 + number))
    committed(writer, 40)

    def numbers(camera: str, since_s: float, limit: int = 256) -> list[int]:
        return [one.frame.frame_no for one in reader.recent("app/people", camera, since_s, limit)]

    assert numbers("b", 137.0) == [39, 38, 37], "among the nearest"
    assert numbers("b", 134.0) == [39, 38, 37, 36, 35, 34], "some of them farther back"
    assert numbers("a", 100.0) == [30, 20, 10], "and no farther than that"
    assert numbers("b", 100.0, 2) == [39, 38]
    found = reader.last("app/people", "a", 0.0)
    assert found is not None
    assert found.frame.frame_no == 30


def test_a_row_that_is_no_batch_is_left_out(
    make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path
) -> None:
    writer = make_writer()
    writer.append(batch(0))
    committed(writer, 1)
    with sqlite3.connect(journal) as connection:
        connection.execute("INSERT INTO batches (pipeline, camera, at, body) VALUES ('p', 'c', 0, 'nonsense')")
    connection.close()
    writer.append(batch(1))
    committed(writer, 2)
    assert [each.frame.frame_no for _, each in everything(reader)] == [0, 1]
    assert reader.unreadable == 1


# -- retention ----------------------------------------------------------------------------------------------------


def test_age_takes_only_what_was_judged(make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path) -> None:
    writer = make_writer()
    for number in range(50):
        writer.append(batch(number, at=1000.0 + number))
    committed(writer, 50)
    seqs = [seq for seq, _ in everything(reader)]
    retention = JournalRetention(journal, max_age_s=10.0, max_bytes=1 << 30)
    assert retention.step(reader.identity(), seqs[19], 1e12).rows == 20, "the clock jumped: only judged batches go"
    assert retention.step(reader.identity(), seqs[-1], 1050.0).rows == 20
    assert [each.frame.frame_no for _, each in everything(reader)] == list(range(40, 50))
    assert retention.step("another journal", seqs[-1], 1e12).rows == 0


def test_size_takes_the_oldest_and_says_what_was_not_judged(
    make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path
) -> None:
    writer = make_writer()
    box = ((1.0, 2.0, 3.0, 4.0),) * 20
    for number in range(3000):
        writer.append(batch(number, boxes=box))
    committed(writer, 3000)
    before = everything(reader)
    retention = JournalRetention(journal, max_age_s=1e12, max_bytes=1 << 20)
    rows = unjudged = 0
    while True:
        pruned = retention.step(reader.identity(), before[99][0], 0.0)
        rows, unjudged = rows + pruned.rows, unjudged + pruned.unjudged
        if not pruned.more:
            break
    assert rows > 400
    assert unjudged == rows - 100
    left = everything(reader)
    assert left == before[rows:]
    for _ in range(20):
        retention.step(reader.identity(), 0, 0.0)
    writer.append(batch(3000))
    committed(writer, 3001)
    assert everything(reader)[-1][1].frame.frame_no == 3000
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert journal.stat().st_size < 2_500_000, "free pages go back to the file system"


def test_the_log_does_not_grow_without_bound(make_writer: MakeWriter, reader: SqliteJournalReader) -> None:
    writer = make_writer()
    box = ((1.0, 2.0, 3.0, 4.0),) * 100
    name = files.identity(writer._path)
    for round_number in range(24):
        for number in range(200):
            writer.append(batch(round_number * 200 + number, boxes=box))
        committed(writer, (round_number + 1) * 200)
        writer._flush()
    assert (writer._path.parent / f"{name}-wal").stat().st_size < files.WAL_KEPT_BYTES * 3 // 2
    assert len(everything(reader)) == 4800
    assert writer._path.stat().st_size > files.WAL_KEPT_BYTES * 2, "it was carried over into the file"


# -- damage -------------------------------------------------------------------------------------------------------


def spoil(path: Path, where: int = 0) -> None:
    """Overwrite pages of the file and drop its log, as a failing card would."""
    real = path.resolve()
    with real.open("r+b") as file:
        file.seek(where)
        file.write(b"\xa5" * 65536)
    Path(f"{real}-wal").unlink(missing_ok=True)
    Path(f"{real}-shm").unlink(missing_ok=True)


def test_a_damaged_file_is_put_aside_at_open(
    make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path
) -> None:
    writer = make_writer()
    writer.append(batch(0))
    committed(writer, 1)
    writer.close()
    old = reader.identity()
    spoil(journal)
    second = make_writer()
    second.append(batch(1))
    committed(second, 1)
    assert reader.identity() not in ("", old)
    assert [each.frame.frame_no for _, each in everything(reader)] == [1]
    assert (journal.parent / old).exists(), "the damaged file is kept"


def test_a_reader_that_meets_damage_reports_it_and_writers_follow(
    make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path
) -> None:
    one, two = make_writer(), make_writer()
    for number in range(2000):
        one.append(batch(number, boxes=((1, 2, 3, 4),) * 5))
    committed(one, 2000)
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    old = reader.identity()
    with journal.resolve().open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (1 << 20))
    everything(reader)
    assert "put aside" in reader.problem
    assert reader.identity() not in ("", old)
    for writer, camera in ((one, "a"), (two, "b")):
        before = writer.stats().committed
        writer.append(batch(7, camera=camera))
        committed(writer, before + 1)
    assert sorted(each.frame.camera for _, each in everything(reader)) == ["a", "b"]
    one.close()
    two.close()
    assert sorted(each.frame.camera for _, each in everything(reader)) == ["a", "b"], "closing old files harms nobody"


def test_damage_where_there_is_no_room_for_another_file_is_survived(
    make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_writer()
    writer.append(batch(0))
    committed(writer, 1)
    make, full = files._make, threading.Event()

    def refuse(path: Path) -> None:
        full.set()
        raise StorageError(f"{path}: disk is full", code="V401")

    def damaged(*_: object) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(files, "_make", refuse)
        patched.setattr("vedette.adapters.journal.sqlite.insert", damaged)
        writer.append(batch(1))
        assert full.wait(WAIT_S)
    assert files._make is make
    committed(writer, 2)
    assert 1 in [each.frame.frame_no for _, each in everything(reader)], "written as soon as there is room"


def test_a_removed_journal_is_made_again(make_writer: MakeWriter, reader: SqliteJournalReader, journal: Path) -> None:
    writer = make_writer()
    writer.append(batch(0))
    committed(writer, 1)
    journal.unlink()
    writer.append(batch(1))
    committed(writer, 2)
    assert [each.frame.frame_no for _, each in everything(reader)] == [1]


def test_one_file_that_was_put_aside_is_kept(journal: Path) -> None:
    for _ in range(4):
        name = files.ensure(journal)
        assert files.put_aside(journal, name, "test").code == "V402"
    assert len(list(journal.parent.glob("journal-*.db"))) == 2
    current = files.identity(journal)
    files.put_aside(journal, "journal-of-long-ago.db", "test")
    assert files.identity(journal) == current, "someone else has put it aside already"


# -- a disk that refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("room", "lost"), [(16 << 20, False), (20_000, True)])
def test_a_full_disk_is_said_and_survived(journal: Path, reader: SqliteJournalReader, room: int, lost: bool) -> None:
    program = start(journal, room, program="full_disk_program")
    told = json.loads(program.communicate(timeout=60)[0])
    assert "cannot be written" in told["problem"]
    assert told["waiting"] > 0
    assert told["after"] == ""
    numbers = [each.frame.frame_no for _, each in everything(reader)]
    assert told["committed"] + told["dropped"] == 400
    assert len(numbers) == told["committed"]
    assert numbers == sorted(numbers)
    assert bool(told["dropped"]) == lost
    assert numbers[-1] == 399, "the newest is never the one dropped"
