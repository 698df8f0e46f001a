"""Signals out of a real outbox to a real Modbus server: moments, pulses, what comes too late, what a kill leaves."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.actions.plc import UNIT, Plc
from tests.actions.receivers import until
from tests.conftest import REPOSITORY
from tests.outbox.samples import alert
from vedette.adapters.actions.modbus import ModbusLine
from vedette.adapters.egress.modbus import ModbusConnection, ModbusSettings
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.compose.lines import timing_of
from vedette.contracts.manifest import ModbusAction
from vedette.core.signals import Timing
from vedette.pipeline.pictures import PictureTimes
from vedette.pipeline.signal import SignalDelivery
from vedette.ports.action import ReceiverBusyError
from vedette.ports.outbox import NewAlert, OutboxRow

PLC = "app/ejector"
#: How far from its moment a signal may be in a test: the machine may be busy with others.
NEAR_S = 0.06


def part(number: int, taken_wall_s: float) -> NewAlert:
    """An alert about a picture that was taken at a time of day."""
    one = alert(number).model_copy(update={"time": datetime.fromtimestamp(taken_wall_s, UTC)})
    return NewAlert(one, (PLC,))


class Bench:
    """An outbox, a PLC, and deliveries between the two."""

    def __init__(self, folder: Path) -> None:
        self.plc = Plc()
        self.path = folder / "outbox.db"
        self.outbox = SqliteOutbox(self.path)
        self.open: list[SignalDelivery] = []

    def start(self, outbox: SqliteOutbox | None = None, **fields: Any) -> SignalDelivery:
        known = {"type": "modbus", "host": "127.0.0.1", "unit": UNIT, "write": "coil", "address": 3, "timeout_s": 0.3}
        plan = ModbusAction.model_validate({**known, "port": self.plc.port, **fields})
        line = ModbusLine(ModbusConnection(ModbusSettings(plan.host, plan.port, plan.unit, plan.timeout_s)), plan)
        one = SignalDelivery(outbox or self.outbox, PLC, line, timing_of(plan), PictureTimes())
        self.open.append(one)
        return one

    def commit(self, *alerts: NewAlert) -> None:
        self.outbox.commit("j", 1, {}, alerts)
        for one in self.open:
            one.wake()

    def settled(self) -> None:
        until(lambda: self.outbox.channels() == [], "nothing waits", 15)

    def refusals(self, number: int = 1) -> list[str]:
        """Reasons of the dead letters, once there are so many (the count of what waits is ahead of the disk)."""
        until(lambda: len(self._refusals()) >= number, f"{number} dead letters", 5)
        return self._refusals()

    def _refusals(self) -> list[str]:
        with sqlite3.connect(self.path) as connection:
            found = connection.execute("SELECT reason FROM dead_letters ORDER BY rowid").fetchall()
        connection.close()
        return [str(reason) for (reason,) in found]

    def close(self) -> None:
        for one in self.open:
            one.close()
        self.outbox.close()
        self.plc.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.close()


def test_two_parts_100_ms_apart_are_both_served_at_their_own_times(bench: Bench) -> None:
    bench.start(after_s=0.6, pulse_s=0.3)
    time.sleep(0.1)
    now_s, offset_s = time.time(), time.monotonic() - time.time()
    bench.commit(part(1, now_s - 0.0001), part(2, now_s), part(3, now_s - 0.1))
    bench.settled()
    until(lambda: bench.plc.coil(3) == 0 and len(bench.plc.writes) >= 4)
    times = bench.plc.times(3)
    dues = [now_s + offset_s + shift_s for shift_s in (0.5, 0.5999, 0.6)]
    for at_s, due_s in zip(times, dues, strict=True):
        assert 0.0 <= at_s - due_s < NEAR_S
    (end_s,) = bench.plc.times(3, 0)
    assert 0.3 <= end_s - times[-1] < 0.3 + NEAR_S, "on until a whole pulse after the last"


def test_overlapping_pulses_as_edges(bench: Bench) -> None:
    bench.start(after_s=0.4, pulse_s=0.3, overlap="again", gap_s=0.02)
    now_s, offset_s = time.time(), time.monotonic() - time.time()
    bench.commit(part(1, now_s - 0.1), part(2, now_s))
    bench.settled()
    until(lambda: bench.plc.values(3) == [1, 0, 1, 0])
    for at_s, due_s in zip(bench.plc.times(3), (now_s + 0.3, now_s + 0.4), strict=True):
        assert 0.0 <= at_s - due_s - offset_s < NEAR_S
    assert bench.plc.times(3)[1] - bench.plc.times(3, 0)[0] >= 0.019


def test_a_moment_that_has_passed_is_a_dead_letter_that_says_by_how_much(bench: Bench) -> None:
    delivery = bench.start(after_s=0.3, late_s=0.2)
    now_s = time.time()
    bench.commit(part(1, now_s - 1.0), part(2, now_s))
    bench.settled()
    assert len(bench.plc.times(3)) == 1
    (reason,) = bench.refusals()
    assert reason.startswith("V505 not given: 0.7")
    assert "0.2 s are allowed" in reason
    assert delivery.health().delivered == 1


def test_a_great_backlog_of_missed_moments_does_not_delay_a_fresh_one(bench: Bench) -> None:
    now_s = time.time()
    for begin in range(0, 4000, 500):
        bench.commit(*(part(n, now_s - 3600) for n in range(begin, begin + 500)))
    bench.start(after_s=3.0)
    now_s, offset_s = time.time(), time.monotonic() - time.time()
    bench.commit(part(9_999, now_s))
    bench.settled()
    (at_s,) = bench.plc.times(3)
    assert 0.0 <= at_s - (now_s + 3.0 + offset_s) < NEAR_S
    assert bench.outbox.health().dead_letters == 4000


def test_a_plc_that_is_away_past_the_moment(bench: Bench) -> None:
    delivery = bench.start(after_s=0.2, late_s=0.2)
    bench.plc.down()
    bench.commit(part(1, time.time()))
    bench.settled()
    (reason,) = bench.refusals()
    assert "V505" in reason
    assert "Connection refused" in reason
    bench.plc.up()
    bench.commit(part(2, time.time()))
    bench.settled()
    assert len(bench.plc.times(3)) == 1
    assert delivery.health().problem == ""


def test_without_a_moment_it_waits_for_the_plc_and_keeps_the_order(bench: Bench) -> None:
    delivery = bench.start(write="register", value=7, pulse_s=0.01, overlap="again", gap_s=0.005)
    bench.plc.down()
    bench.commit(*(part(n, 1.7e9) for n in range(5)))
    until(lambda: delivery.health().failures >= 2)
    assert bench.outbox.health().channels[PLC].pending == 5
    bench.plc.up()
    bench.settled()
    until(lambda: delivery.health().delivered == 5)
    until(lambda: bench.plc.register(3) == 0)
    assert [value for value in bench.plc.values(3) if value] == [7] * 5
    assert bench.refusals(0) == []


def test_what_the_plc_refuses_for_good_is_kept_and_the_next_goes_on(bench: Bench) -> None:
    from pymodbus.constants import ExcCodes

    answers = [ExcCodes.ILLEGAL_VALUE, ExcCodes.DEVICE_BUSY, None, None, None]
    bench.plc.before = lambda code, *_: answers.pop(0) if code == 5 and answers else None
    bench.start()
    bench.commit(part(1, 1.7e9), part(2, 1.7e9))
    bench.settled()
    (reason,) = bench.refusals()
    assert reason.startswith("V504 ")
    assert "illegal data value" in reason
    assert bench.plc.values(3) == [1]


def test_a_lost_answer_leaves_nothing_on(bench: Bench) -> None:
    bench.plc.before = lambda code, _address, values: "reset after" if code == 5 and values == (1,) else None
    bench.start(after_s=0.1, late_s=0.1, pulse_s=0.05)
    bench.commit(part(1, time.time()))
    bench.settled()
    assert "V505" in bench.refusals()[0]
    until(lambda: bench.plc.values(3)[-1:] == [0], "put at rest", 5)


def test_a_pulse_ends_though_the_process_is_asked_to_stop(bench: Bench) -> None:
    delivery = bench.start(pulse_s=30.0)
    bench.commit(part(1, 1.7e9))
    bench.settled()
    assert bench.plc.coil(3) == 1
    begun_s = time.monotonic()
    delivery.close()
    assert bench.plc.coil(3) == 0
    assert time.monotonic() - begun_s < 2.0, "a long one is cut short"


def test_a_short_pulse_is_finished_before_the_end(bench: Bench) -> None:
    delivery = bench.start(pulse_s=0.5)
    bench.commit(part(1, 1.7e9))
    bench.settled()
    delivery.close()
    assert bench.plc.times(3, 0)[0] - bench.plc.times(3)[0] >= 0.5


PROGRAM = """
import sys, time
from pathlib import Path
from tests.alerting.test_signal_delivery import PLC, ModbusAction, ModbusConnection, ModbusLine, ModbusSettings
from tests.alerting.test_signal_delivery import PictureTimes, SignalDelivery, SqliteOutbox, part, timing_of
plan = ModbusAction.model_validate_json(sys.argv[2])
outbox = SqliteOutbox(Path(sys.argv[1]))
line = ModbusLine(ModbusConnection(ModbusSettings(plan.host, plan.port, plan.unit, 1.0)), plan)
delivery = SignalDelivery(outbox, PLC, line, timing_of(plan), PictureTimes())
outbox.commit("j", 1, {}, [part(1, time.time())])
delivery.wake()
print("on its way", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_on_is_mended_by_the_next(bench: Bench, tmp_path: Path) -> None:
    plan = {
        "type": "modbus", "host": "127.0.0.1", "port": bench.plc.port, "unit": UNIT, "write": "coil", "address": 3,
        "pulse_s": 40.0,
    }  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "other.db", json.dumps(plan)], env=environment
    )
    try:
        until(lambda: bench.plc.coil(3) == 1, "the pulse began", 20)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert bench.plc.coil(3) == 1
    bench.start(pulse_s=40.0)
    until(lambda: bench.plc.coil(3) == 0, "mended", 5)


def test_a_process_killed_before_it_could_note_a_signal_does_not_repeat_it(bench: Bench) -> None:
    class Forgetful:
        """The outbox of a process that is killed between the signal and its note."""

        def __getattr__(self, name: str) -> Any:
            return (lambda *_: None) if name == "delivered" else getattr(bench.outbox, name)

    delivery = bench.start(outbox=Forgetful(), after_s=0.2)  # type: ignore[arg-type]
    bench.commit(part(1, time.time()))
    until(lambda: len(bench.plc.times(3)) == 1)
    delivery.close()
    assert bench.outbox.channels() == [PLC]
    time.sleep(0.3)  # a process does not start within `late_s`
    bench.start(after_s=0.2)
    bench.settled()
    assert len(bench.plc.times(3)) == 1
    assert "V505" in bench.refusals()[0]


def test_a_disk_that_takes_its_time_delays_no_signal(bench: Bench) -> None:
    class SlowDisk:
        def __getattr__(self, name: str) -> Any:
            return self.slowly if name == "delivered" else getattr(bench.outbox, name)

        def slowly(self, channel: str, row_ids: Sequence[int]) -> None:
            time.sleep(0.5)
            bench.outbox.delivered(channel, row_ids)

    bench.start(outbox=SlowDisk(), after_s=0.5)  # type: ignore[arg-type]
    now_s, offset_s = time.time() - 0.2, time.monotonic() - time.time()
    bench.commit(*(part(n, now_s + n * 0.02) for n in range(10)))
    bench.settled()
    for number, at_s in enumerate(bench.plc.times(3)):
        assert 0.0 <= at_s - (now_s + 0.5 + number * 0.02 + offset_s) < NEAR_S
    assert len(bench.plc.times(3)) == 10


def test_a_refused_login_is_tried_again_only_when_its_pause_is_over(bench: Bench) -> None:
    tries: list[float] = []

    class Locked:
        """A receiver that locks accounts."""

        def prepare(self) -> None:
            tries.append(time.monotonic())
            raise ReceiverBusyError("the login is refused.", retry_after_s=0.8)

        on = off = mend = close = lambda self, *_: None

    delivery = SignalDelivery(bench.outbox, PLC, Locked(), Timing(after_s=0.5, late_s=3.0), PictureTimes())
    bench.open.append(delivery)
    for number in range(10):
        bench.commit(part(number, time.time()))
        time.sleep(0.2)
    assert 2 <= len(tries) <= 3, "not at every moment"
    assert all(after_s - before_s >= 0.79 for before_s, after_s in itertools.pairwise(tries))


def test_a_plc_that_hangs_delays_no_other_channel(bench: Bench) -> None:
    folder = bench.path.parent / "two"
    folder.mkdir()
    other = Bench(folder)
    try:
        bench.plc.before = lambda *_: 5.0
        bench.start()
        other.start()
        bench.commit(part(1, 1.7e9))
        other.commit(*(part(n, 1.7e9) for n in range(20)))
        other.settled()
        assert bench.outbox.channels() == [PLC]
    finally:
        other.close()
    bench.plc.before = lambda *_: None


def test_a_fault_of_the_line_ends_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    on: Callable[[ModbusLine, OutboxRow], None] = ModbusLine.on
    faults = [ValueError("a fault of ours")]

    def faulty(self: ModbusLine, row: OutboxRow) -> None:
        if faults:
            raise faults.pop()
        on(self, row)

    monkeypatch.setattr(ModbusLine, "on", faulty)
    bench.start()
    bench.commit(part(1, 1.7e9))
    bench.settled()
    assert bench.plc.values(3) == [1]


def test_memory_is_bounded(bench: Bench) -> None:
    delivery = bench.start(after_s=3000.0)
    now_s = time.time()
    for begin in range(0, 3000, 500):
        bench.commit(*(part(n, now_s) for n in range(begin, begin + 500)))
    until(lambda: len(delivery._rows) >= 1000, "read ahead")
    time.sleep(0.1)
    assert len(delivery._rows) <= 1000
    assert bench.outbox.health().channels[PLC].pending == 3000
