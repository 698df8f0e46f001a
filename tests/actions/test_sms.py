"""Short messages, through a web service and through a modem at a pseudo-terminal."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.actions.modem import FakeModem, decoded
from tests.actions.receivers import WebhookLedger
from tests.outbox.samples import alert, row
from vedette.adapters.actions.sms import SmsReceiver, masked
from vedette.adapters.egress.modem import Modem
from vedette.adapters.secrets import SecretStore
from vedette.compose.receivers import Surroundings, make_receiver
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import SmsAction
from vedette.core.redact import RedactingFilter
from vedette.core.templates import fill, placeholders
from vedette.ports.action import ReceiverBusyError
from vedette.ports.outbox import OutboxRow

ONE, TWO, THREE = "+4915112345678", "+436601234567", "+41791234567"


def receiver(folder: Path, pairs: dict[str, str] | None = None, **fields: Any) -> SmsReceiver:
    plan = SmsAction.model_validate({"type": "sms", "to": [ONE], "timeout_s": 1.0, **fields})
    secrets = SecretStore(lambda _name: pairs or {}, folder / "secrets")
    made = make_receiver("app/sms", plan, Surroundings(folder, "thing", secrets))
    assert isinstance(made, SmsReceiver)
    return made


def hand_over(one: SmsReceiver, *rows: OutboxRow) -> list[int]:
    done: list[int] = []
    one.deliver(rows or (row(1),), lambda taken: done.append(taken.row_id))
    return done


def refusal(one: SmsReceiver, *rows: OutboxRow) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        hand_over(one, *rows)
    for number in (ONE, TWO, THREE):
        assert number not in str(caught.value), "no number of a phone in a message"
        assert number[1:] not in str(caught.value)
    return caught.value


def said(message: str) -> OutboxRow:
    changed = alert(1).model_copy(update={"message": message})
    return OutboxRow(1, "app/sms", changed.alert_id, "app/gate", changed.model_dump_json().encode())


# -- a web service ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger() -> Iterator[WebhookLedger]:
    one = WebhookLedger()
    yield one
    one.close()


def web(ledger: WebhookLedger, folder: Path, pairs: dict[str, str] | None = None, **fields: Any) -> SmsReceiver:
    known = {"gateway": "http", "url": ledger.url, "allow_private": True, "body": {"to": "{to}", "msg": "{text}"}}
    return receiver(folder, pairs, **{**known, **fields})


def test_json(ledger: WebhookLedger, tmp_path: Path) -> None:
    body = {"messages": [{"recipient": "{to}", "body": "Site: {text}"}], "ref": "{alert_id}/{severity}", "flash": False}
    one = web(ledger, tmp_path, body=body, timezone="Europe/Berlin")
    ledger.answer = lambda _: (202, {})
    assert hand_over(one, said('Person "7"\r\nentered')) == [1]
    headers, content = ledger.requests[0]
    assert headers["Content-Type"] == "application/json"
    assert json.loads(content) == {
        "messages": [{"recipient": ONE, "body": 'Site: 23:13:21 Person "7" entered'}],
        "ref": f"{alert(1).alert_id}/warning",
        "flash": False,
    }


def test_a_form_with_basic_authentication(ledger: WebhookLedger, tmp_path: Path) -> None:
    ledger.answer = lambda _: (400, {})  # the test's server can take in JSON only
    pairs = {"username": "account", "password": "pa:ss&word"}
    fields = {"encoding": "form", "secret": "vedette/receiver/sms"}
    refusal(web(ledger, tmp_path, pairs, method="PUT", **fields), said("a & b = c +"))
    assert ledger.requests == [], "the test's server knows no PUT"
    refusal(web(ledger, tmp_path, pairs, **fields), said("a & b = c +"))
    headers, content = ledger.requests[0]
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == "account:pa:ss&word"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(content.decode()) == {"to": [ONE], "msg": ["22:13:21 a & b = c +"]}


def test_a_header_of_its_own_and_a_secret_that_lacks_it(ledger: WebhookLedger, tmp_path: Path) -> None:
    fields = {"secret": "vedette/receiver/sms", "header": "X-Api-Key"}
    hand_over(web(ledger, tmp_path, {"value": "k3y"}, **fields))
    assert ledger.requests[0][0]["X-Api-Key"] == "k3y"
    for wrong in ({}, {"username": "x", "password": "y"}):
        assert refusal(web(ledger, tmp_path, wrong, **fields)).code == "V503"
    assert refusal(web(ledger, tmp_path, {"value": "a\r\nX: b"}, **fields)).retryable
    assert len(ledger.requests) == 1


def test_each_phone_gets_it_once_whatever_the_others_do(ledger: WebhookLedger, tmp_path: Path) -> None:
    answers = {ONE: [500, 200], TWO: [200], THREE: [400]}

    class Choosy:
        def __call__(self, _number: int) -> tuple[int, dict[str, str]]:
            return 200, {}

    ledger.answer = Choosy()
    one = web(ledger, tmp_path, to=[ONE, TWO, THREE])
    asked: list[str] = []
    post = one._gateway._poster.post  # type: ignore[attr-defined]

    def answering(content: bytes, headers: dict[str, str]) -> Any:
        number = json.loads(content)["to"]
        asked.append(number)
        status = answers[number].pop(0)
        ledger.answer = lambda _: (status, {})
        return post(content, headers)

    one._gateway._poster.post = answering  # type: ignore[attr-defined]
    error = refusal(one)
    assert error.retryable
    assert asked == [ONE, TWO, THREE]
    error = refusal(one)
    assert asked == [ONE, TWO, THREE, ONE]
    assert (error.code, error.retryable) == ("V504", False)
    assert f"{masked(THREE)} is refused" in error.message
    assert "1 of 3; the others have it" in error.message
    keys = {headers["Idempotency-Key"] for headers, _ in ledger.requests}
    assert len(keys) == 3, "one for each phone, the same for a repeat"


@pytest.mark.parametrize(("status", "retryable"), [(401, True), (429, True), (500, True), (302, True), (404, False)])
def test_answers_of_the_service(ledger: WebhookLedger, tmp_path: Path, status: int, retryable: bool) -> None:
    ledger.answer = lambda _: (status, {"Retry-After": "7"} if status == 429 else {})
    error = refusal(web(ledger, tmp_path))
    assert error.retryable is retryable
    assert str(status) in error.message
    if status == 429:
        assert isinstance(error, ReceiverBusyError)
        assert error.retry_after_s == 7


def test_a_service_that_is_down_is_not_asked_for_every_phone(tmp_path: Path, ledger: WebhookLedger) -> None:
    ledger.down()
    one = web(ledger, tmp_path, to=[ONE, TWO, THREE])
    begun_s = time.monotonic()
    assert refusal(one).code == "V502"
    assert time.monotonic() - begun_s < 1.0
    ledger.up()
    assert hand_over(one) == [1]


def test_an_address_that_is_not_allowed(tmp_path: Path, ledger: WebhookLedger) -> None:
    for url in ("http://169.254.169.254/sms", ledger.url):
        error = refusal(web(ledger, tmp_path, url=url, allow_private=False))
        assert error.retryable
        assert "refused" in error.message
    assert ledger.requests == []


def test_templates() -> None:
    values = {"to": ONE, "text": "{to} {alert_id}"}
    assert fill({"a": ["{to}", 5, None, {"b": "x{text}y"}], "{to}": "{unknown}"}, values) == {
        "a": [ONE, 5, None, {"b": "x{to} {alert_id}y"}],
        "{to}": "{unknown}",
    }, "what is filled in is not filled in again"
    assert list(placeholders({"a": ["{to}", {"b": "{text}{x}"}]})) == ["to", "text", "x"]


# -- a modem ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def modem() -> Iterator[FakeModem]:
    one = FakeModem()
    yield one
    one.close()


def serial(modem: FakeModem, folder: Path, pairs: dict[str, str] | None = None, **fields: Any) -> SmsReceiver:
    return receiver(folder, pairs, **{"gateway": "serial", "device": modem.path, **fields})


def test_a_message_in_pdu_mode(modem: FakeModem, tmp_path: Path) -> None:
    one = serial(modem, tmp_path)
    assert hand_over(one, said("Tor {2} ist offen: Größe [XL] ~ 5 €")) == [1]
    ((command, pdu),) = modem.sent
    assert command == f"AT+CMGS={len(pdu) // 2 - 1}"
    assert decoded(pdu) == (ONE, "22:13:21 Tor {2} ist offen: Größe [XL] ~ 5 €")
    assert hand_over(one, said("人が入りました 🚨")) == [1]
    assert decoded(modem.sent[1][1]) == (ONE, "22:13:21 人が入りました 🚨")


def test_a_long_message_is_cut_or_comes_in_parts(modem: FakeModem, tmp_path: Path) -> None:
    hand_over(serial(modem, tmp_path), said("x" * 300))
    assert len(decoded(modem.sent[0][1])[1]) == 160
    hand_over(serial(modem, tmp_path, parts=3), said("y" * 300))
    parts = [decoded(pdu)[1] for _, pdu in modem.sent[1:]]
    assert [len(part) for part in parts] == [153, 153, 3]
    assert "".join(parts) == "22:13:21 " + "y" * 300


def test_text_mode(modem: FakeModem, tmp_path: Path) -> None:
    hand_over(serial(modem, tmp_path, mode="text"), said("Größe [1]"))
    hand_over(serial(modem, tmp_path, mode="text"), said("人"))
    (first, content), (_, second) = modem.sent
    assert bytes.fromhex(first.partition('"')[2].rstrip('"')).decode("utf-16-be") == ONE
    assert bytes.fromhex(content).decode("utf-16-be") == "22:13:21 Größe [1]"
    assert bytes.fromhex(second).decode("utf-16-be") == "22:13:21 人"
    assert [one for one in modem.heard if "CSMP" in one] == ["AT+CSMP=17,167,0,0", "AT+CSMP=17,167,0,8"]


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b'\r\n+CMTI: "SM",3\r\n',
        b"\r\nRING\r\n\r\n+CREG: 5\r\n^RSSI:17\r\n",
        b"\x00\xff\xfe garbage \x80\r\n",
        b"\xff" * 300,
        b"\r\n\r\n\r\n",
        b"\r\nOKAY\r\nERRORS\r\n",
    ],
)
def test_what_modems_say_unasked(tmp_path: Path, echo: bool, noise: bytes) -> None:
    modem = FakeModem(echo=echo, noise=noise if not noise.endswith(b"\xff") else noise + b"\r\n")
    try:
        assert hand_over(serial(modem, tmp_path)) == [1]
        assert len(modem.sent) == 1
    finally:
        modem.close()


@pytest.mark.parametrize(
    ("said_to_it", "code", "retryable", "words"),
    [
        ("+CMS ERROR: 28", "V504", False, "not identified"),
        ("+CMS ERROR: 304", "V504", False, "invalid"),
        ("+CMS ERROR: 331", "V502", True, "no network"),
        ("+CMS ERROR: 500", "V502", True, "500"),
        ("ERROR", "V502", True, "ERROR"),
    ],
)
def test_the_network_refuses(
    modem: FakeModem, tmp_path: Path, said_to_it: str, code: str, retryable: bool, words: str
) -> None:
    modem.sends = lambda _: said_to_it
    error = refusal(serial(modem, tmp_path))
    assert (error.code, error.retryable) == (code, retryable)
    assert words in error.message
    modem.sends = lambda _: None
    assert hand_over(serial(modem, tmp_path)) == [1]


def test_the_modem_refuses_before_the_message(modem: FakeModem, tmp_path: Path) -> None:
    modem.answer = lambda command: "+CMS ERROR: 310" if command.startswith("AT+CMGS") else None
    assert "there is no SIM" in refusal(serial(modem, tmp_path)).message
    assert modem.sent == []


def test_a_modem_that_does_not_answer(modem: FakeModem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.adapters.egress.modem.WAKE_S", 0.1)
    modem.answer = lambda _: ""
    modem._echo = False
    begun_s = time.monotonic()
    error = refusal(serial(modem, tmp_path))
    assert error.retryable
    assert "does not answer" in error.message
    assert time.monotonic() - begun_s < 2.0


def test_an_answer_that_is_lost(modem: FakeModem, tmp_path: Path) -> None:
    modem.sends = lambda _: ""
    one = serial(modem, tmp_path, timeout_s=0.3)
    error = refusal(one)
    assert error.retryable
    assert "may be sent" in error.message
    modem.sends = lambda _: None
    assert hand_over(one) == [1]
    assert len(modem.sent) == 2, "at least once"


def test_a_modem_left_in_the_middle_of_a_message(modem: FakeModem, tmp_path: Path) -> None:
    modem._waiting = "AT+CMGS=99"
    assert hand_over(serial(modem, tmp_path)) == [1]
    assert [command for command, _ in modem.sent] != ["AT+CMGS=99"]


def test_noise_without_end_costs_bounded_time(
    modem: FakeModem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vedette.adapters.egress.modem.WAKE_S", 0.2)
    modem.answer = lambda _: "x" * 3_000
    begun_s = time.monotonic()
    assert refusal(serial(modem, tmp_path)).retryable
    assert time.monotonic() - begun_s < 3.0


class Scripted:
    """A serial device that answers with what the test has drawn, whatever is said to it."""

    answers: ClassVar[list[bytes]] = []

    def __init__(self, *_: Any) -> None:
        self.left = list(self.answers)

    def write(self, content: bytes, deadline_s: float) -> None:
        return

    def read(self, deadline_s: float) -> bytes:
        if self.left:
            return self.left.pop(0)
        time.sleep(max(0.0, deadline_s - time.monotonic()))
        return b""

    discard = close = lambda self: None


ANSWER = st.binary(max_size=60) | st.sampled_from(
    [b"\r\nOK\r\n", b"\r\nERROR\r\n", b"\r\n> ", b"+CPIN: READY\r\nOK\r\n", b"+CREG: 0,1\r\nOK\r\n",
     b"+CMGS: 7\r\nOK\r\n",
     b"+CMS ERROR: ", b"+CMS ERROR: 99999999999999999999\r\n", b"\r", b">" * 50, b"+CREG: ,\r\nOK\r\n"]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ANSWER, max_size=25))
def test_whatever_a_modem_says_only_our_own_errors_come_of_it(
    monkeypatch: pytest.MonkeyPatch, answers: list[bytes]
) -> None:
    monkeypatch.setattr("vedette.adapters.egress.modem.Terminal", Scripted)
    monkeypatch.setattr("vedette.adapters.egress.modem.COMMAND_S", 0.002)
    monkeypatch.setattr("vedette.adapters.egress.modem.WAKE_S", 0.002)
    Scripted.answers = answers
    with contextlib.suppress(DeliveryError), Modem("/dev/x", 9600, "pdu", lambda: "1234") as one:
        one.send(ONE, "text", parts=1, reference=1, timeout_s=0.005)


def test_a_sim_with_a_pin(tmp_path: Path) -> None:
    modem = FakeModem(pin="1234")
    try:
        error = refusal(serial(modem, tmp_path))
        assert error.code == "V506"
        assert "PIN" in error.message
        assert modem.pins == []
        one = serial(modem, tmp_path, {"pin": "1234"}, secret="vedette/receiver/sim")
        error = refusal(one)
        assert isinstance(error, ReceiverBusyError), "it gets ready"
        assert hand_over(one) == [1]
        assert modem.pins == ["1234"]
    finally:
        modem.close()


def test_a_wrong_pin_is_tried_once(tmp_path: Path) -> None:
    modem = FakeModem(pin="1234")
    try:
        one = serial(modem, tmp_path, {"pin": "9999"}, secret="vedette/receiver/sim")
        for _ in range(4):
            error = refusal(one)
            assert (error.code, error.retryable) == ("V506", True)
            assert "9999" not in str(error)
        assert modem.pins == ["9999"], "a SIM is locked after three"
    finally:
        modem.close()


def test_the_last_try_of_a_pin_is_not_used_up(tmp_path: Path) -> None:
    modem = FakeModem(pin="1234")
    modem.answer = lambda command: "+CPINR: SIM PIN,1,3\nOK" if command == "AT+CPINR" else None
    try:
        assert "locked" in refusal(serial(modem, tmp_path, {"pin": "1234"}, secret="vedette/receiver/sim")).message
        assert modem.pins == []
    finally:
        modem.close()


@pytest.mark.parametrize(("creg", "ready"), [("0,1", True), ("0,5", True), ("2,2", False), ("0,3", False)])
def test_registration(modem: FakeModem, tmp_path: Path, creg: str, ready: bool) -> None:
    modem.creg = creg
    if ready:
        assert hand_over(serial(modem, tmp_path)) == [1]
    else:
        assert "not registered" in refusal(serial(modem, tmp_path)).message


def test_a_device_that_is_not_there_or_is_none(tmp_path: Path, modem: FakeModem) -> None:
    error = refusal(receiver(tmp_path, gateway="serial", device="/dev/ttyNONE7"))
    assert (error.code, error.retryable) == ("V506", True)
    assert "No such file" in error.message
    assert refusal(receiver(tmp_path, gateway="serial", device="/dev/null")).code == "V506"


def test_a_device_that_another_program_has(tmp_path: Path, modem: FakeModem) -> None:
    import fcntl

    descriptor = os.open(modem.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert "another program has it" in refusal(serial(modem, tmp_path)).message
    finally:
        os.close(descriptor)
    assert hand_over(serial(modem, tmp_path)) == [1]


def test_a_device_that_is_unplugged_in_between(tmp_path: Path) -> None:
    modem = FakeModem()
    one = serial(modem, tmp_path)
    assert hand_over(one) == [1]
    modem.close()
    assert refusal(one).code == "V506"


def test_several_phones_one_of_which_does_not_exist(modem: FakeModem, tmp_path: Path) -> None:
    modem.sends = lambda pdu: "+CMS ERROR: 1" if decoded(pdu)[0] == TWO else None
    error = refusal(serial(modem, tmp_path, to=[ONE, TWO, THREE]))
    assert (error.code, error.retryable) == ("V504", False)
    assert "not assigned" in error.message
    assert sorted(decoded(pdu)[0] for _, pdu in modem.sent) == sorted([ONE, TWO, THREE])


def test_numbers_are_kept_out_of_logs(tmp_path: Path) -> None:
    redaction = RedactingFilter()
    secrets = SecretStore(lambda _name: {}, tmp_path, learned=redaction.add)
    plan = SmsAction.model_validate({"type": "sms", "to": [ONE], "gateway": "serial", "device": "/dev/ttyX"})
    make_receiver("app/sms", plan, Surroundings(tmp_path, "thing", secrets))
    record = logging.LogRecord("x", logging.INFO, "", 0, "sent to %s", (ONE,), None)
    redaction.filter(record)
    assert ONE not in record.getMessage()
    assert masked(ONE) == "+49…78"
