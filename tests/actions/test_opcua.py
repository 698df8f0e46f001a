"""An OPC UA server as receiver, with and without security. Against asyncua's own server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.actions.opcua_server import GUEST, LOGIN, OpcUaServer, make_certificate
from tests.actions.receivers import free_port, until
from tests.actions.test_egress import RawServer
from tests.outbox.samples import alert, row
from vedette.adapters.actions.opcua import OpcUaLine
from vedette.adapters.egress.opcua import OpcUaConnection, OpcUaSettings
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.adapters.secrets import SecretStore
from vedette.compose.lines import make_line, timing_of
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import OpcUaAction
from vedette.pipeline.pictures import PictureTimes
from vedette.pipeline.signal import SignalDelivery
from vedette.ports.action import ReceiverBusyError
from vedette.ports.outbox import NewAlert

Make = Callable[..., OpcUaLine]


@pytest.fixture(scope="module")
def shared() -> Iterator[OpcUaServer]:
    one = OpcUaServer()
    yield one
    one.close()


@pytest.fixture
def server(shared: OpcUaServer) -> OpcUaServer:
    shared.set_by_hand("Reject", False)
    shared.writes.clear()
    shared.pause_s = 0.0
    return shared


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[OpcUaLine] = []

    def line(endpoint: str, pairs: dict[str, str] | None = None, **fields: Any) -> OpcUaLine:
        known = {"type": "opcua", "endpoint": endpoint, "node": "ns=2;s=Line1.Reject", "value_type": "Boolean"}
        plan = OpcUaAction.model_validate({**known, "timeout_s": 1.0, **fields})
        one = make_line(plan, SecretStore(lambda _name: pairs or {}, tmp_path / "secrets"))
        assert isinstance(one, OpcUaLine)
        made.append(one)
        return one

    yield line
    for one in made:
        one.close()


def refusal(one: OpcUaLine) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        one.on(row(1))
    assert LOGIN[1] not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("name", "kind", "value", "rest"),
    [
        ("Reject", "Boolean", True, False),
        ("Count", "Int16", -32768, 0),
        ("Order", "Int32", 2**31 - 1, 0),
        ("Speed", "Double", 1.5, 0.0),
        ("Speed", "Double", 3, 0.0),
        ("Text", "String", "weg damit – 不良", ""),
    ],
)
def test_values_of_every_type(server: OpcUaServer, make: Make, name: str, kind: str, value: Any, rest: Any) -> None:
    one = make(server.endpoint, node=f"ns=2;s=Line1.{name}", value_type=kind, value=value)
    one.on(row(1))
    assert server.value(name) == value
    one.off()
    assert server.value(name) == rest
    assert server.written(name) == [value, rest]


def test_a_boolean_is_true_where_nothing_is_said(server: OpcUaServer, make: Make) -> None:
    make(server.endpoint).on(row(1))
    assert server.value("Reject") is True


def test_the_alert_as_text(server: OpcUaServer, make: Make) -> None:
    make(server.endpoint, node="ns=2;s=Line1.Text", value_type="alert").on(row(1))
    assert json.loads(server.value("Text"))["alert_id"] == alert(1).alert_id


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"node": "ns=2;s=Line1.Nothing"}, "BadNodeIdUnknown"),
        ({"node": "ns=99;i=4"}, "BadNodeIdUnknown"),
        ({"value_type": "Int16", "value": 5}, "BadTypeMismatch"),
        ({"node": "g=------------------------------------"}, "no node id"),
    ],
)
def test_what_can_never_be_written(server: OpcUaServer, make: Make, fields: dict[str, Any], words: str) -> None:
    error = refusal(make(server.endpoint, **fields))
    assert (error.code, error.retryable) == ("V504", False)
    assert words in error.message
    assert server.endpoint in error.message


def test_nobody_there(make: Make) -> None:
    error = refusal(make(f"opc.tcp://127.0.0.1:{free_port()}"))
    assert (error.code, error.retryable) == ("V502", True)
    assert "cannot be reached" in error.message


def test_a_restart_of_the_server(server: OpcUaServer, make: Make) -> None:
    one = make(server.endpoint)
    one.on(row(1))
    server.down()
    assert refusal(one).retryable
    server.up()
    one.prepare()
    one.on(row(1))
    assert server.value("Reject") is True


def test_a_slow_server_costs_bounded_time(server: OpcUaServer, make: Make) -> None:
    one = make(server.endpoint, timeout_s=0.4)
    one.prepare()
    server.pause_s = 2.0
    begun_s = time.monotonic()
    error = refusal(one)
    assert time.monotonic() - begun_s < 2.0
    assert error.retryable
    server.pause_s = 0.0
    one.on(row(1))


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad\r\n\r\n" * 50, b"ACKF\xff\xff\xff\xff" * 100, b"\x00" * 5000]
)
def test_what_is_no_opc_ua(make: Make, answer: bytes) -> None:
    hostile = RawServer(answer)
    begun_s = time.monotonic()
    assert refusal(make(f"opc.tcp://127.0.0.1:{hostile.port}", timeout_s=0.4)).retryable
    assert time.monotonic() - begun_s < 4.0
    hostile.close()


def test_what_is_not_kept_is_refused_and_not_written_again(server: OpcUaServer, make: Make) -> None:
    one = make(server.endpoint)
    read = one._connection.read

    def taken_back() -> Any:
        server.set_by_hand("Reject", False)
        return read()

    one._connection.read = taken_back  # type: ignore[method-assign]
    error = refusal(one)
    assert (error.code, error.retryable) == ("V501", False)
    assert server.written("Reject") == [True]


def test_mending_touches_only_what_we_left(server: OpcUaServer, make: Make) -> None:
    one = make(server.endpoint, node="ns=2;s=Line1.Count", value_type="Int16", value=7)
    server.set_by_hand("Count", 9)
    one.mend()
    assert server.value("Count") == 9
    server.set_by_hand("Count", 7)
    one.mend()
    assert server.value("Count") == 0


def answering(answers: list[str]) -> Callable[[str], list[str]]:
    return lambda _name: answers


def test_only_the_sites_own_network_without_security() -> None:
    settings = OpcUaSettings("opc.tcp://plc.example:4840", "i=1", "Boolean", 0.5)
    for answers in (["93.184.215.14"], ["10.0.0.9", "169.254.169.254"]):
        connection = OpcUaConnection(lambda: settings, "x", resolver=answering(answers))
        with pytest.raises(DeliveryError, match="refused") as caught:
            connection.prepare()
        assert caught.value.retryable
        connection.close()


def test_the_connection_goes_to_the_address_that_was_checked(server: OpcUaServer) -> None:
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"]

    settings = OpcUaSettings(f"opc.tcp://plc.test:{server.port}/plc", "ns=2;s=Line1.Reject", "Boolean", 1.0)
    connection = OpcUaConnection(lambda: settings, "x", resolver=resolve)
    connection.write(True)
    connection.close()
    assert asked == ["plc.test"], "a name that no name server knows"
    assert server.written("Reject") == [True]


def test_a_login_without_encryption_is_not_sent(server: OpcUaServer, make: Make) -> None:
    error = refusal(make(server.endpoint, dict(zip(("username", "password"), LOGIN, strict=True)), secret="x"))
    assert error.retryable
    assert "without encryption" in error.message


# -- security ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: make_certificate(folder, name) for name in ("server", "client", "other")}


@pytest.fixture(scope="module")
def safe(certificates: dict[str, tuple[Path, Path]]) -> Iterator[OpcUaServer]:
    one = OpcUaServer(certificates["server"], login=True)
    yield one
    one.close()


def secured(certificates: dict[str, tuple[Path, Path]], server: str = "server") -> dict[str, Any]:
    return {
        "security": "basic256sha256",
        "certificate_file": str(certificates["client"][0]),
        "private_key_file": str(certificates["client"][1]),
        "server_certificate_file": str(certificates[server][0]),
        "secret": "vedette/receiver/plc",
        "timeout_s": 3.0,
    }


def test_signed_encrypted_and_logged_in(
    safe: OpcUaServer, make: Make, certificates: dict[str, tuple[Path, Path]]
) -> None:
    one = make(safe.endpoint, dict(zip(("username", "password"), LOGIN, strict=True)), **secured(certificates))
    one.on(row(1))
    assert safe.value("Reject") is True
    one.off()
    assert safe.value("Reject") is False


def test_a_wrong_login(safe: OpcUaServer, make: Make, certificates: dict[str, tuple[Path, Path]]) -> None:
    error = refusal(make(safe.endpoint, {"username": LOGIN[0], "password": "wr0ng-one"}, **secured(certificates)))
    assert isinstance(error, ReceiverBusyError), error
    assert error.retry_after_s >= 60
    assert "wr0ng" not in str(error)
    assert refusal(make(safe.endpoint, {"username": "x"}, **secured(certificates))).code == "V503"


def test_what_this_user_may_not_write(
    safe: OpcUaServer, make: Make, certificates: dict[str, tuple[Path, Path]]
) -> None:
    pairs = dict(zip(("username", "password"), GUEST, strict=True))
    error = refusal(make(safe.endpoint, pairs, node="ns=2;s=Line1.Fixed", **secured(certificates)))
    assert error.retryable, "the operator can mend it"
    assert "BadUserAccessDenied" in error.message


def test_another_server_than_the_one_we_know(
    safe: OpcUaServer, make: Make, certificates: dict[str, tuple[Path, Path]]
) -> None:
    before = len(safe.writes)
    pairs = dict(zip(("username", "password"), LOGIN, strict=True))
    assert refusal(make(safe.endpoint, pairs, **secured(certificates, "other"))).retryable
    assert len(safe.writes) == before


def test_a_server_without_the_security_we_want(
    server: OpcUaServer, make: Make, certificates: dict[str, tuple[Path, Path]]
) -> None:
    pairs = dict(zip(("username", "password"), LOGIN, strict=True))
    assert refusal(make(server.endpoint, pairs, **secured(certificates))).retryable
    assert server.writes == []


def test_no_security_where_the_server_wants_it(safe: OpcUaServer, make: Make) -> None:
    assert refusal(make(safe.endpoint)).retryable


def test_a_file_that_is_not_there(safe: OpcUaServer, make: Make, certificates: dict[str, tuple[Path, Path]]) -> None:
    fields = {**secured(certificates), "private_key_file": "/nowhere/key.pem"}
    error = refusal(make(safe.endpoint, dict(zip(("username", "password"), LOGIN, strict=True)), **fields))
    assert error.retryable
    assert "/nowhere/key.pem" in error.message


# -- at its moment ----------------------------------------------------------------------------------------------------


def test_pulses_at_their_moments(server: OpcUaServer, make: Make, tmp_path: Path) -> None:
    plan = {"after_s": 0.8, "pulse_s": 0.1, "overlap": "again", "gap_s": 0.02}
    line = make(server.endpoint, **plan)
    outbox = SqliteOutbox(tmp_path / "outbox.db")
    delivery = SignalDelivery(outbox, "app/plc", line, timing_of(line._plan), PictureTimes())
    try:
        now_s, offset_s = time.time(), time.monotonic() - time.time()
        for number, taken_s in ((1, now_s - 0.1), (2, now_s)):
            one = alert(number).model_copy(update={"time": datetime.fromtimestamp(taken_s, UTC)})
            outbox.commit("j", number, {}, [NewAlert(one, ("app/plc",))])
        delivery.wake()
        until(lambda: outbox.channels() == [], "both given", 10)
        until(lambda: server.written("Reject") == [True, False, True, False], "both pulses", 5)
        moments = [at_s for at_s, _, value in server.writes if value]
        for at_s, due_s in zip(moments, (now_s + 0.7, now_s + 0.8), strict=True):
            assert 0 <= at_s - due_s - offset_s < 0.1
    finally:
        delivery.close()
        outbox.close()
