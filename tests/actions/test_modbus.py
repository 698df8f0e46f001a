"""A PLC as receiver: what is written, what it refuses, what is lost on the way. Against pymodbus' own server."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from tests.actions.plc import UNIT, Plc
from tests.actions.receivers import free_port, until
from tests.actions.test_egress import RawServer
from tests.outbox.samples import row
from vedette.adapters.actions.modbus import ModbusLine, words_of
from vedette.adapters.egress.modbus import ModbusConnection, ModbusSettings
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import ModbusAction


@pytest.fixture
def plc() -> Iterator[Plc]:
    one = Plc()
    yield one
    one.close()


def action(port: int = 502, **fields: Any) -> ModbusAction:
    known = {"type": "modbus", "host": "127.0.0.1", "port": port, "unit": UNIT, "write": "coil", "address": 3}
    return ModbusAction.model_validate({**known, **fields})


OPEN: list[ModbusLine] = []


@pytest.fixture(autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def line(port: int, **fields: Any) -> ModbusLine:
    plan = action(port, **fields)
    OPEN.append(ModbusLine(ModbusConnection(ModbusSettings(plan.host, plan.port, plan.unit, 0.4)), plan))
    return OPEN[-1]


def refusal(one: ModbusLine) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        one.on(row(1))
    return caught.value


def test_a_coil(plc: Plc) -> None:
    one = line(plc.port)
    one.on(row(1))
    assert plc.coil(3) == 1
    one.off()
    assert plc.coil(3) == 0
    assert plc.values(3) == [1, 0]
    assert plc.requests == [5, 1, 5, 1], "written and read back"


def test_a_register_and_two(plc: Plc) -> None:
    line(plc.port, write="register", value=700).on(row(1))
    line(plc.port, write="register", address=10, value=-2).on(row(1))
    line(plc.port, write="register", address=20, value=0x12345678, bits=32).on(row(1))
    line(plc.port, write="register", address=30, value=-2, bits=32, word_order="low_first").on(row(1))
    assert [plc.register(n) for n in (3, 10, 20, 21, 30, 31)] == [700, 0xFFFE, 0x1234, 0x5678, 0xFFFE, 0xFFFF]
    assert plc.requests[0] == 6
    assert plc.requests[4] == 16, "both halves in one message"


@pytest.mark.parametrize(
    ("code", "name", "retryable"),
    [
        (ExcCodes.ILLEGAL_FUNCTION, "V504", False),
        (ExcCodes.ILLEGAL_ADDRESS, "V504", False),
        (ExcCodes.ILLEGAL_VALUE, "V504", False),
        (ExcCodes.DEVICE_FAILURE, "V502", True),
        (ExcCodes.ACKNOWLEDGE, "V502", True),
        (ExcCodes.DEVICE_BUSY, "V502", True),
        (ExcCodes.GATEWAY_PATH_UNAVIABLE, "V502", True),
        (ExcCodes.GATEWAY_NO_RESPONSE, "V502", True),
    ],
)
def test_exceptions_of_the_plc(plc: Plc, code: ExcCodes, name: str, retryable: bool) -> None:
    plc.before = lambda *_: code
    error = refusal(line(plc.port))
    assert (error.code, error.retryable) == (name, retryable)
    assert f"exception {code.value}" in error.message
    assert f"127.0.0.1:{plc.port} unit 7" in error.message
    plc.before = lambda *_: None
    line(plc.port).on(row(1))


def test_an_address_that_does_not_exist(plc: Plc) -> None:
    error = refusal(line(plc.port, address=5000))
    assert (error.code, error.retryable) == ("V504", False)
    assert "illegal data address" in error.message


def test_a_unit_that_does_not_exist(plc: Plc) -> None:
    error = refusal(line(plc.port, unit=9))
    assert error.retryable
    assert "unit 9" in error.message


def test_nobody_there() -> None:
    error = refusal(line(free_port()))
    assert (error.code, error.retryable) == ("V502", True)
    assert "Connection refused" in error.message


def test_a_slow_plc_costs_bounded_time_and_its_late_answer_is_not_mistaken(plc: Plc) -> None:
    plc.before = lambda code, *_: 0.8 if code == 5 else None
    one = line(plc.port)
    begun_s = time.monotonic()
    assert "no answer in time" in refusal(one).message
    assert time.monotonic() - begun_s < 0.7
    plc.before = lambda *_: None
    one.off()
    assert plc.values(3)[-1] == 0


@pytest.mark.parametrize("verdict", ["reset", "reset after"])
def test_a_connection_that_is_reset_in_the_middle(plc: Plc, verdict: str) -> None:
    one = line(plc.port)
    one.on(row(1))
    plc.before = lambda *_: verdict
    error = refusal(one)
    assert (error.code, error.retryable) == ("V502", True)
    plc.before = lambda *_: None
    one.on(row(1))
    assert plc.coil(3) == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew(plc: Plc) -> None:
    one = line(plc.port)
    one.on(row(1))
    plc.down()
    plc.up()
    time.sleep(0.05)  # the end of the connection is on its way
    one.prepare()
    one.on(row(2))
    assert plc.values(3) == [1, 1]


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20, b"\x00" * 5000, b"\x00\x01\x00\x00\x00\x03\x07\x85\x01", b"\xff"],
)
def test_what_is_no_modbus(answer: bytes) -> None:
    server = RawServer(answer)
    begun_s = time.monotonic()
    with pytest.raises(DeliveryError):
        line(server.port).on(row(1))
    assert time.monotonic() - begun_s < 2.0
    server.close()


def test_what_is_not_kept_is_refused_and_not_written_again(plc: Plc) -> None:
    one = line(plc.port)

    def takes_back(code: int, *_: Any) -> None:
        if code == 1:
            plc.by_hand_soon("coil", 3, 0)

    plc.before = takes_back
    error = refusal(one)
    assert (error.code, error.retryable) == ("V501", False)
    assert "reads back 0" in error.message
    assert plc.values(3) == [1]
    line(plc.port, verify=False).on(row(1))
    assert plc.values(3) == [1, 1]


@pytest.mark.parametrize("code", [ExcCodes.ILLEGAL_FUNCTION, ExcCodes.ILLEGAL_ADDRESS])
def test_a_plc_that_does_not_let_itself_be_read(plc: Plc, code: ExcCodes) -> None:
    plc.before = lambda asked, *_: code if asked == 1 else None
    one = line(plc.port)
    one.on(row(1))
    one.off()
    assert plc.requests == [5, 1, 5], "asked once"
    one.mend()
    assert plc.values(3) == [1, 0, 0]


def test_mending_touches_only_what_we_left(plc: Plc) -> None:
    one = line(plc.port, write="register", value=7, pulse_s=1)
    one.mend()
    assert plc.writes == []
    plc.set_by_hand("register", 3, 9)
    one.mend()
    assert plc.register(3) == 9
    plc.set_by_hand("register", 3, 7)
    one.mend()
    assert plc.register(3) == 0


@pytest.mark.parametrize("host", ["8.8.8.8", "169.254.169.254", "plc.example", "rebound.example"])
def test_only_the_sites_own_network_is_connected_to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: Any, **__: Any) -> Any:
        raise AssertionError("connected")

    monkeypatch.setattr(socket, "create_connection", no)
    answers = {"plc.example": ["93.184.215.14"], "rebound.example": ["10.0.0.9", "169.254.169.254"]}
    connection = ModbusConnection(ModbusSettings(host, 502, 1, 0.2), resolver=lambda name: answers[name])
    with pytest.raises(DeliveryError, match="refused") as caught:
        connection.prepare()
    assert caught.value.retryable


def test_the_connection_goes_to_the_address_that_was_checked(plc: Plc) -> None:
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    connection = ModbusConnection(ModbusSettings("plc.test", plc.port, UNIT, 0.4), resolver=resolve)
    connection.write("coil", 1, (1,))
    assert asked == ["plc.test"]
    assert plc.coil(1) == 1
    connection.close()
    with pytest.raises(DeliveryError, match="refused"):
        connection.write("coil", 1, (0,))


def test_no_descriptor_is_left_open(plc: Plc) -> None:
    def ours() -> int:
        table = [entry.split() for entry in Path("/proc/net/tcp").read_text().splitlines()]
        return sum(entry[2].endswith(f":{plc.port:04X}") and entry[3] == "01" for entry in table)

    for verdict in (None, "reset", 0.5, ExcCodes.DEVICE_BUSY):
        plc.before = lambda *_, verdict=verdict: verdict
        one = line(plc.port)
        with contextlib.suppress(DeliveryError):
            one.on(row(1))
        one.close()
    until(lambda: ours() == 0, "every connection is closed", 5)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, (1,)),
        ({"value": False}, (0,)),
        ({"write": "register", "value": 65535}, (65535,)),
        ({"write": "register", "value": -32768}, (32768,)),
        ({"write": "register", "value": 65536, "bits": 32}, (1, 0)),
        ({"write": "register", "value": 65536, "bits": 32, "word_order": "low_first"}, (0, 1)),
    ],
)
def test_words(fields: dict[str, Any], words: tuple[int, ...]) -> None:
    assert words_of(action(**fields)) == words
