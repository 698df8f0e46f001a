"""journal → hook → journal, over real files and simulated clocks: crashes, failures, lost positions, full disks."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hooks.rig import CAMERAS, PIPELINE, Bench, Functions, InlineProcess, batch, plan
from vedette.adapters.hooks.store import SqliteHookStore, read_cursor
from vedette.adapters.journal import files
from vedette.contracts.errors import StorageError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.tracks import TrackBatch
from vedette.hooks import App, Batch
from vedette.pipeline.hook_loop import ATTEMPTS, PACES_S, SUSPEND_S, HookState
from vedette.ports.hooks import HookPosition, Picture
from vedette.ports.outbox import Origin


def count(app: App, seen: Batch) -> None:
    """Depends on everything before: a batch too many or too few shows in the state and in every later alert."""
    app.state["sum"] = app.state.get("sum", 0) * 31 % 1_000_003 + seen.frame_no + len(seen.objects)
    app.state[seen.camera] = app.state.get(seen.camera, 0) + 1
    if seen.objects:
        app.alert(f"{seen.camera} {seen.frame_no} {app.state['sum']}", objects=seen.objects)


COUNT: Functions = {"on_tracks": count}


def everything(pictures: int) -> list[TrackBatch]:
    return [batch(number, camera) for number in range(pictures) for camera in CAMERAS]


def expected(batches: list[TrackBatch], folder: Path) -> tuple[list[str], Any]:
    """Alerts and state of a run that nothing interrupts."""
    bench = Bench(folder, lambda: InlineProcess(COUNT))
    bench.write(batches)
    bench.start()
    bench.settle()
    bench.loop.finish()
    found = bench.alerts(), bench.state()
    bench.crash()
    return found


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def bench(functions: Functions | None = None, process: Any = None, **changes: Any) -> Bench:
        one = Bench(tmp_path, lambda: process or InlineProcess(functions or COUNT), plan(**changes))
        made.append(one)
        return one

    yield bench
    for one in made:
        one.crash()


def test_every_batch_once_in_order_and_only_its_own(make: Callable[..., Bench]) -> None:
    seen: list[tuple[str, int]] = []
    bench = make({"on_tracks": lambda app, batch: seen.append((batch.camera, batch.frame_no))})
    own = everything(20)
    foreign = [batch(n, "gate", pipeline="other/main") for n in range(20)] + [batch(n, "shed") for n in range(20)]
    mixed = [one for pair in zip(own, foreign, strict=True) for one in pair]
    bench.write(mixed)
    bench.start()
    bench.settle()
    assert seen == [(one.frame.camera, one.frame.frame_no) for one in own]


@pytest.fixture
def memory_folder() -> Iterator[Callable[[], Path]]:
    """Folders in memory: nothing is written to a disk, and nothing waits for one."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


def before(target: object, name: str, told: Callable[[tuple[Any, ...]], None]) -> None:
    """Be told the arguments of each call of a method."""
    real = getattr(target, name)

    def call(*arguments: Any) -> Any:
        told(arguments)
        return real(*arguments)

    setattr(target, name, call)


class Crashed(BaseException):
    """A kill in the middle of things."""


def instrument(bench: Bench, moments: Iterator[bool]) -> None:
    """Crash before or after whatever touches a disk, where the moments say so."""

    def crashing(target: object, name: str) -> None:
        real = getattr(target, name)

        def call(*arguments: Any) -> Any:
            if next(moments, False):
                raise Crashed(f"before {name}")
            result = real(*arguments)
            if next(moments, False):
                raise Crashed(f"after {name}")
            return result

        setattr(target, name, call)

    for target, names in ((bench.store, ("commit", "appended", "note_attempt")), (bench.events, ("append",)),
                          (bench.process, ("start", "tracks"))):  # fmt: skip
        for name in names:
            crashing(target, name)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 70), min_size=1, max_size=8), st.integers(0, 19))
def test_crashes_anywhere_lose_and_double_nothing(
    memory_folder: Callable[[], Path], gaps: list[int], first: int
) -> None:
    batches = everything(20)
    wanted = expected(batches, memory_folder())
    bench = Bench(memory_folder(), lambda: InlineProcess(COUNT))
    bench.write(batches[: 2 * first])
    bench.start()
    moments = iter([step == gap - 1 for gap in gaps for step in range(gap)])
    instrument(bench, moments)
    crashes = 0
    written = False
    while True:
        try:
            bench.settle()
            if not written:
                bench.write(batches[2 * first :])
                written = True
                continue
            bench.loop.finish()
            break
        except Crashed:
            crashes += 1
            bench.crash()
            bench.start()
            instrument(bench, moments)
    assert crashes <= len(gaps)
    assert (bench.alerts(), bench.state()) == wanted
    assert bench.store.waiting() == [] or set(bench.alerts()) == set(wanted[0])
    bench.crash()


def test_a_hook_that_answers_differently_each_time_still_alerts_once(make: Callable[..., Bench]) -> None:
    """What was committed is sent, not what a second call would say."""
    salt = {"value": 0}

    def moody(app: App, seen: Batch) -> None:
        salt["value"] += 1
        if seen.objects:
            app.alert("x", key=f"{salt['value']}")

    bench = make({"on_tracks": moody})
    bench.write([batch(1)])
    bench.start()
    append = bench.events.append

    def killed(events: Any) -> None:
        append(events)
        raise Crashed

    bench.events.append = killed  # type: ignore[method-assign]
    with pytest.raises(Crashed):
        bench.settle()
    bench.crash()
    bench.start()
    bench.settle()
    assert len(bench.raised()) == 2
    assert len(bench.alerts()) == 1


def test_nothing_is_appended_before_it_is_committed(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.write([batch(1)])
    bench.start()
    order: list[str] = []
    before(bench.store, "commit", lambda arguments: order.append(f"commit {len(arguments[1])}"))
    before(bench.events, "append", lambda arguments: order.append(f"append {len(arguments[0])}"))
    bench.settle()
    assert [step for step in order if not step.endswith(" 0")] == ["commit 1", "append 1"]


def test_progress_is_committed_once_a_second_where_it_changed_the_state(make: Callable[..., Bench]) -> None:
    bench = make({"on_tracks": lambda app, seen: app.state.update(n=seen.frame_no)})
    bench.write([batch(0)])
    bench.start()
    bench.loop.step(0.0)
    bench.loop.step(0.0)
    assert bench.state() == {}
    bench.now_s += 1.1
    bench.loop.step(0.0)
    assert bench.state() == {"n": 0}
    commits: list[float] = []
    before(bench.store, "commit", lambda _: commits.append(bench.now_s))
    bench.calls._process.functions = {"on_tracks": lambda app, seen: None}  # type: ignore[attr-defined]
    bench.write([batch(number) for number in range(1, 200)])
    for _ in range(50):
        bench.loop.step(0.0)
        bench.now_s += 0.5
    assert len(commits) == 2, "without a change of the state every ten seconds is enough"


# -- what goes wrong in the code --------------------------------------------------------------------------------------


def test_a_batch_that_raises_is_tried_three_times_and_given_up(make: Callable[..., Bench]) -> None:
    tries: list[int] = []

    def picky(app: App, seen: Batch) -> None:
        tries.append(seen.frame_no)
        app.state["last"] = seen.frame_no
        app.alert("seen", key=str(seen.frame_no))
        if seen.frame_no == 2:
            raise ValueError("not this one")

    bench = make({"on_tracks": picky})
    bench.write([batch(n) for n in range(5)])
    bench.start()
    bench.settle()
    assert tries == [0, 1, 2, 2, 2, 3, 4]
    assert bench.loop.figures.skipped == 1
    assert "not this one" in bench.loop.figures.error
    assert bench.loop.figures.code == "V802"
    assert [event.key for event in bench.raised()] == ["0", "1", "3", "4"], "no alert and no state of the failed one"
    bench.loop.finish()
    assert bench.state() == {"last": 4}


def test_a_batch_that_kills_is_given_up_also_where_the_warden_dies_too(make: Callable[..., Bench]) -> None:
    def deadly(app: App, seen: Batch) -> None:
        if seen.frame_no == 1:
            raise SystemError("gone")
        app.alert("seen", key=str(seen.frame_no))

    def process() -> InlineProcess:
        one = InlineProcess({"on_tracks": deadly})
        one.fatal = {SystemError}
        return one

    bench = make()
    bench.make_process = process
    bench.write([batch(n) for n in range(3)])
    for _ in range(ATTEMPTS):
        bench.start()
        for _step in range(20):
            bench.loop.step(0.0)
            bench.now_s += 0.01  # less than the pause before the next start
        bench.crash()
        bench.now_s += 100
    bench.start()
    bench.settle()
    assert {event.key for event in bench.raised()} == {"0", "2"}
    assert len(bench.alerts()) == 2
    assert bench.store.load().skipped == 1


def test_starts_are_paced(make: Callable[..., Bench]) -> None:
    process = InlineProcess({"on_tracks": lambda app, seen: 1 / 0})
    process.fatal = {ZeroDivisionError}
    bench = make(process=process)
    bench.write([batch(n) for n in range(40)])
    bench.start()
    starts: list[float] = []
    before(process, "start", lambda _: starts.append(bench.now_s))
    for _ in range(4000):
        bench.loop.step(0.0)
        bench.now_s += 0.05
    gaps = [after - before for before, after in pairwise(starts)]
    for gap, pace in zip(gaps, (*PACES_S, PACES_S[-1], PACES_S[-1]), strict=False):
        assert gap >= pace - 1e-9
    assert len(starts) < 15
    assert bench.loop.figures.restarts == len(starts) - 1


def test_code_that_cannot_be_loaded_is_said_and_tried_again(make: Callable[..., Bench]) -> None:
    trouble = {"on": True}

    def setup(app: App) -> None:
        if trouble["on"]:
            raise ImportError("no such module")

    bench = make({"setup": setup, "on_tracks": count})
    bench.write([batch(1)])
    bench.start()
    bench.settle(5)
    assert str(bench.loop.figures.state) == HookState.FAILED
    assert bench.loop.figures.code == "V801"
    assert bench.alerts() == []
    trouble["on"] = False
    bench.settle()
    assert str(bench.loop.figures.state) == HookState.RUNNING
    assert len(bench.alerts()) == 1


def picture(number: int) -> Picture:
    info = FrameInfo("gate", "e", number, number / 5, number / 5, 1.7e9 + number, 640, 360)
    from tests.hooks.test_hooks_api import BATCH

    return Picture(info, "gate", {"frame": BATCH})


def test_pictures_are_shown_at_most_once_and_left_alone_where_they_kill(make: Callable[..., Bench]) -> None:
    shown: list[Any] = []

    def on_frame(app: App, frame: Any) -> None:
        shown.append(frame)
        raise SystemError("crash")

    process = InlineProcess({"on_tracks": count, "on_frame": on_frame})
    process.fatal = {SystemError}
    bench = make(process=process)
    bench.start()
    bench.feed.pictures = [picture(n) for n in range(50)]
    bench.settle(100)
    assert len(shown) == 3, "after three it is left alone for a while"
    assert bench.loop.figures.suspended == "pictures"
    bench.write(everything(3))
    bench.settle(100)
    assert len(bench.alerts()) == 4, "batches go on"
    bench.now_s += SUSPEND_S
    bench.settle(100)
    assert len(shown) == 6
    assert len(bench.feed.finished) == len(shown)


def test_timers_fire_by_the_clock_and_are_not_made_up_for(make: Callable[..., Bench]) -> None:
    fired: list[float] = []
    process = InlineProcess({"on_tracks": count}, timers=[(1.0, lambda app: fired.append(bench.now_s))])
    bench = make(process=process)
    bench.start()
    bench.settle(1)
    begin_s = bench.now_s - 0.25
    for _ in range(12):
        bench.loop.step(0.0)
        bench.now_s += 0.25
    bench.now_s += 10
    for _ in range(8):
        bench.loop.step(0.0)
        bench.now_s += 0.25
    times = [round(fired_s - begin_s, 2) for fired_s in fired]
    assert times[:3] == [1.0, 2.0, 3.0]
    assert sum(time >= 13 for time in times) <= 3, times


def test_alerts_beyond_the_budget_are_counted_and_the_same_ones_after_a_crash(tmp_path: Path) -> None:
    def run(folder: Path, cut: int) -> tuple[list[str], int]:
        folder.mkdir()
        bench = Bench(folder, lambda: InlineProcess(COUNT))
        bench.per_minute = 30
        bench.write([batch(n, people=1) for n in range(100)])
        bench.start()
        if cut:
            for _ in range(cut):
                bench.loop.step(0.0)
            bench.crash()
            bench.start()
        bench.settle()
        bench.loop.finish()
        found = bench.alerts(), bench.store.load().suppressed
        bench.crash()
        return found

    whole = run(tmp_path / "whole", 0)
    assert len(whole[0]) == 60 + 9, "a burst of two minutes' worth, and what twenty seconds add"
    assert whole[1] == 100 - len(whole[0])
    for cut in (3, 17, 40):
        assert run(tmp_path / str(cut), cut) == whole


def test_an_answer_that_lies_ends_the_process(make: Callable[..., Bench]) -> None:
    class Liar(InlineProcess):
        def tracks(self, app_camera: str, batch: TrackBatch) -> Any:
            reply = super().tracks(app_camera, batch)
            return reply.model_copy(
                update={"alerts": tuple(one.model_copy(update={"camera": "vault"}) for one in reply.alerts)}
            )

    bench = make(process=Liar(COUNT))
    bench.write([batch(0), batch(1)])
    bench.start()
    bench.settle()
    assert bench.loop.figures.code == "V808"
    assert "vault" in bench.loop.figures.error
    assert bench.raised() == []
    assert bench.loop.figures.skipped == 1


# -- what goes wrong on disk ------------------------------------------------------------------------------------------


def test_a_new_hook_begins_five_minutes_back(make: Callable[..., Bench]) -> None:
    old = [batch(n, people=1, begin_s=1.7e9 - 1000) for n in range(20)]
    bench = make()
    bench.write([*old, *(batch(n, people=1) for n in range(5))])
    bench.start()
    bench.settle()
    assert len(bench.alerts()) == 5
    assert bench.store.origin is Origin.FRESH


def test_a_damaged_position_is_put_aside_and_said(make: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make()
    bench.write(everything(3))
    bench.start()
    bench.settle()
    bench.loop.finish()
    bench.crash()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"greeter.db{suffix}").unlink(missing_ok=True)
    content = bytearray((tmp_path / "greeter.db").read_bytes())
    content[:200] = b"x" * 200
    (tmp_path / "greeter.db").write_bytes(content)
    bench.start()
    assert bench.store.origin is Origin.LOST
    assert bench.store.damage is not None
    assert bench.store.damage.code == "V807"
    assert (tmp_path / "greeter-damaged.db").exists()
    before = set(bench.alerts())
    bench.settle()
    assert set(bench.alerts()) == before, "the same batches, the same ids"


def test_another_journal_is_read_from_its_start(make: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make()
    bench.write(everything(2))
    bench.start()
    bench.settle()
    files.put_aside(tmp_path / "journal.db", bench.source.identity(), "test")
    bench.write([batch(7, people=1)])
    bench.settle()
    assert len(bench.alerts()) == 1
    bench.loop.finish()
    assert read_cursor(tmp_path / "greeter.db") == (bench.source.identity(), bench.loop._cursor)


def test_a_disk_that_refuses_makes_the_hook_wait_and_loses_nothing(make: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make()
    bench.write(everything(3))
    bench.start()
    refusing = {"on": True}
    for target, name in ((bench.store, "commit"), (bench.events, "append")):
        real = getattr(target, name)

        def maybe(*arguments: Any, real: Any = real) -> Any:
            if refusing["on"]:
                raise StorageError("the disk is full", code="V404")
            return real(*arguments)

        setattr(target, name, maybe)
    bench.settle(50)
    calls = bench.calls.figures.calls
    bench.settle(50)
    assert bench.calls.figures.calls == calls, "it handles no more than it could commit"
    assert bench.loop.figures.code == "V404"
    refusing["on"] = False
    bench.settle()
    assert len(bench.alerts()) == 4


def test_only_one_warden_has_the_position(tmp_path: Path) -> None:
    with closing(SqliteHookStore(tmp_path / "a.db")), pytest.raises(StorageError, match="in use by another process"):
        SqliteHookStore(tmp_path / "a.db")
    with closing(SqliteHookStore(tmp_path / "a.db")) as store:
        store.commit(HookPosition("j", 5, '{"a":1}', ([1.0, 2.0],), 3, 4))
        assert store.load() == HookPosition("j", 5, '{"a":1}', ([1.0, 2.0],), 3, 4)
        assert store.note_attempt("j", 6) == 1
        assert store.note_attempt("j", 6) == 2
        assert store.note_attempt("j", 7) == 1
    assert read_cursor(tmp_path / "a.db") == ("j", 5)
    assert read_cursor(tmp_path / "none.db") is None


def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("PRAGMA user_version=7")
    connection.close()
    with pytest.raises(StorageError, match="format 7"):
        SqliteHookStore(tmp_path / "a.db")


def test_events_of_a_hook_are_no_batches_for_it(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.write([batch(1)])
    bench.start()
    bench.settle()
    assert [type(row) for row in bench.raised()] == [HookEvent]
    assert bench.calls.figures.calls == 1
    assert PIPELINE == "app/main"
