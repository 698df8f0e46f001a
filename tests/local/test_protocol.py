"""The socket itself: strangers, damage, slowness. Spoken byte by byte, without the SDK."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from awscrt.exceptions import AwsCrtError
from awsiot.greengrasscoreipc import client as sdk_client
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.model import ServiceError

from tests.local.conftest import TIMEOUT_S, access, make_core, recipe
from vedette.local.core import ComponentSpec, ComponentState, LocalCore
from vedette.local.operations import CoreOperations
from vedette.local.wire import FrameDecoder, Message, MessageFlag, MessageType, encode

OPEN = access(
    pubsub={"PublishToTopic": ["*"], "SubscribeToTopic": ["*"]},
    mqtt={"PublishToIoTCore": ["*"], "SubscribeToIoTCore": ["*"]},
)


class Peer:
    """A component that speaks the wire protocol by hand."""

    def __init__(self, core: LocalCore) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(str(core.socket_path))
        self._decoder = FrameDecoder()
        self._messages: list[Message] = []

    def send(self, message: Message) -> None:
        self.socket.sendall(encode(message))

    def receive(self) -> Message | None:
        """The next message; None where the connection has been closed."""
        while not self._messages:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._messages += self._decoder.feed(data)
        return self._messages.pop(0)

    def connect(self, token: str) -> Message | None:
        payload = json.dumps({"authToken": token}).encode()
        self.send(Message(MessageType.CONNECT, headers={":version": "0.1.0"}, payload=payload))
        return self.receive()

    def request(self, stream: int, operation: str, body: dict[str, Any]) -> None:
        headers = {
            "operation": f"aws.greengrass#{operation}",
            "service-model-type": f"aws.greengrass#{operation}Request",
            ":content-type": "application/json",
        }
        payload = json.dumps(body).encode()
        self.send(Message(MessageType.APPLICATION_MESSAGE, 0, stream, headers, payload))


def operations(core: LocalCore) -> CoreOperations:
    return core._running()._operations


@pytest.fixture
def core(short_tmp: Path, lite: bool) -> Iterator[LocalCore]:
    given = recipe("c", "exec sleep 600", configuration={"accessControl": OPEN, "a": 1})
    with make_core(short_tmp, given, lite_quirks=lite) as core:
        core.deploy({"c": ComponentSpec()})
        core.wait_for("c", ComponentState.RUNNING, TIMEOUT_S)
        yield core


@pytest.fixture
def peer(core: LocalCore) -> Iterator[Peer]:
    peer = Peer(core)
    answer = peer.connect(operations(core).components["c"].token)
    assert answer is not None
    assert (answer.message_type, answer.flags, answer.stream_id) == (MessageType.CONNECT_ACK, 1, 0)
    yield peer
    peer.socket.close()


def test_a_bad_token_is_refused(core: LocalCore, lite: bool) -> None:
    for token in ("", "nonsense", "ü"):
        peer = Peer(core)
        answer = peer.connect(token)
        if not lite:
            assert answer is not None
            assert (answer.message_type, answer.flags) == (MessageType.CONNECT_ACK, 0)
            answer = peer.receive()
        assert answer is None
        peer.socket.close()


def test_the_sdk_reports_a_bad_token(core: LocalCore, lite: bool) -> None:
    with pytest.raises((AwsCrtError, RuntimeError), match="socket is closed" if lite else "access denied"):
        connect(ipc_socket=str(core.socket_path), authtoken="nonsense", timeout=TIMEOUT_S)


def test_the_socket_is_for_this_user_only(core: LocalCore) -> None:
    assert core.socket_path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode(Message(MessageType.APPLICATION_MESSAGE, 0, 1, {"operation": "aws.greengrass#UpdateState"}, b"{}")),
        encode(Message(MessageType.PING)),
        encode(Message(MessageType.CONNECT, payload=b"[]")),
        encode(Message(MessageType.CONNECT, payload=b"{")),
        encode(Message(MessageType.CONNECT, payload=b'{"authToken": 5}')),
        encode(Message(99)),
    ],
)
def test_strangers_are_cut_off(core: LocalCore, data: bytes) -> None:
    peer = Peer(core)
    peer.socket.sendall(data)
    while (answer := peer.receive()) is not None:
        assert answer.message_type in (MessageType.PROTOCOL_ERROR, MessageType.CONNECT_ACK)
        assert not answer.flags
    peer.socket.close()


def test_damage_after_connecting_ends_only_that_connection(core: LocalCore, peer: Peer) -> None:
    other = Peer(core)
    assert other.connect(operations(core).components["c"].token) is not None
    frame = bytearray(encode(Message(MessageType.PING)))
    frame[-1] ^= 1
    peer.socket.sendall(bytes(frame))
    last = None
    while (answer := peer.receive()) is not None:
        last = answer
    assert last is None or last.message_type == MessageType.PROTOCOL_ERROR
    other.send(Message(MessageType.PING, payload=b"hello"))
    pong = other.receive()
    assert pong is not None
    assert (pong.message_type, pong.payload) == (MessageType.PING_RESPONSE, b"hello")
    other.socket.close()


def test_a_stream_ends_when_the_client_ends_it(core: LocalCore, peer: Peer, lite: bool) -> None:
    peer.request(1, "SubscribeToTopic", {"topic": "t"})
    answer = peer.receive()
    assert answer is not None
    assert answer.text("service-model-type") == "aws.greengrass#SubscribeToTopicResponse"
    assert answer.flags == 0
    core.publish_local("t", {"n": 1})
    event = peer.receive()
    assert event is not None
    assert event.text("service-model-type") == "aws.greengrass#SubscriptionResponseMessage"
    assert json.loads(event.payload) == {"jsonMessage": {"message": {"n": 1}, "context": {"topic": "t"}}}
    peer.send(Message(MessageType.APPLICATION_MESSAGE, MessageFlag.TERMINATE_STREAM, 1))
    peer.request(2, "GetConfiguration", {"keyPath": ["a"]})
    value = peer.receive()
    assert value is not None
    assert json.loads(value.payload) == {"componentName": "c", "value": {"a": 1}}
    assert value.flags == (0 if lite else MessageFlag.TERMINATE_STREAM)
    core.publish_local("t", {"n": 2})
    peer.send(Message(MessageType.PING))
    pong = peer.receive()
    assert pong is not None
    assert pong.message_type == MessageType.PING_RESPONSE  # and no second event before it


def test_a_stream_id_cannot_be_used_twice(peer: Peer) -> None:
    peer.request(2, "GetConfiguration", {})
    assert peer.receive() is not None
    peer.request(2, "GetConfiguration", {})
    while (answer := peer.receive()) is not None:
        assert answer.message_type == MessageType.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("PublishToTopic", {}),
        ("PublishToTopic", {"topic": 5}),
        ("PublishToTopic", {"topic": "t"}),
        ("PublishToTopic", {"topic": "t", "publishMessage": {}}),
        ("PublishToTopic", {"topic": "t", "publishMessage": {"jsonMessage": {}}}),
        ("PublishToTopic", {"topic": "t", "publishMessage": {"binaryMessage": {"message": "no base64!"}}}),
        ("SubscribeToTopic", {"topic": "a/#/b"}),
        ("GetConfiguration", {"keyPath": "a"}),
        ("GetConfiguration", {"keyPath": ["a"] * 40}),
        ("UpdateConfiguration", {"keyPath": [], "timestamp": 1.0}),
        ("UpdateConfiguration", {"keyPath": [], "timestamp": "now", "valueToMerge": {}}),
        ("UpdateConfiguration", {"keyPath": [], "timestamp": 1.0, "valueToMerge": 5}),
        ("UpdateConfiguration", {"keyPath": ["accessControl"], "timestamp": 1.0, "valueToMerge": {}}),
        ("UpdateState", {"state": "FINE"}),
        ("PublishToIoTCore", {"topicName": "+", "payload": ""}),
        ("PublishToIoTCore", {"topicName": "t", "qos": "7", "payload": ""}),
    ],
)
def test_bad_arguments_are_answered_and_the_connection_lives(peer: Peer, operation: str, body: dict[str, Any]) -> None:
    peer.request(1, operation, body)
    answer = peer.receive()
    assert answer is not None
    assert answer.message_type == MessageType.APPLICATION_ERROR
    assert answer.text("service-model-type") == "aws.greengrass#InvalidArgumentsError"
    assert answer.flags == MessageFlag.TERMINATE_STREAM
    assert json.loads(answer.payload)["_errorCode"] == "InvalidArgumentsError"
    peer.request(2, "GetConfiguration", {})
    assert peer.receive() is not None


def test_deep_values_cost_one_request(peer: Peer) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"d": deep}
    peer.request(1, "UpdateConfiguration", {"keyPath": [], "timestamp": 9e9, "valueToMerge": deep})
    answer = peer.receive()
    assert answer is not None
    assert answer.text("service-model-type") == "aws.greengrass#ServiceError"


def test_who_does_not_read_is_cut_off_and_nobody_else(
    core: LocalCore, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    core._running()._server.max_unsent_bytes = 100_000
    peer.request(1, "SubscribeToTopic", {"topic": "flood"})
    assert peer.receive() is not None
    other = Peer(core)
    assert other.connect(operations(core).components["c"].token) is not None
    for _ in range(200):
        core.publish_local("flood", "x" * 8000)
    assert "does not read its messages" in caplog.text
    received = 0
    while peer.receive() is not None:
        received += 1
    assert received < 200
    other.send(Message(MessageType.PING))
    assert other.receive() is not None
    other.socket.close()


def test_lite_takes_frames_of_ten_thousand_bytes_and_no_more(core: LocalCore, peer: Peer, lite: bool) -> None:
    peer.request(1, "PublishToTopic", {"topic": "t", "publishMessage": {"jsonMessage": {"message": "x" * 12_000}}})
    answer = peer.receive()
    if lite:
        assert answer is None or answer.message_type == MessageType.PROTOCOL_ERROR
    else:
        assert answer is not None
        assert answer.message_type == MessageType.APPLICATION_MESSAGE


IMPLEMENTED = {
    "PublishToTopic",
    "SubscribeToTopic",
    "GetConfiguration",
    "UpdateConfiguration",
    "SubscribeToConfigurationUpdate",
    "UpdateState",
    "PublishToIoTCore",
    "SubscribeToIoTCore",
    "GetSecretValue",
}


def modelled_operations() -> list[str]:
    """Every operation the SDK knows, from its own client."""
    names = [name.removeprefix("new_") for name in dir(sdk_client.GreengrassCoreIPCClient) if name.startswith("new_")]
    return sorted(names)


def test_every_operation_the_sdk_models_is_there_or_refused_by_name(core: LocalCore, lite: bool) -> None:
    connection = connect(
        ipc_socket=str(core.socket_path), authtoken=operations(core).components["c"].token, timeout=TIMEOUT_S
    )
    there = set()
    try:
        assert len(modelled_operations()) == 35
        for name in modelled_operations():
            factory = getattr(connection, f"new_{name}")
            needs_handler = "stream_handler" in factory.__code__.co_varnames[: factory.__code__.co_argcount]
            operation = factory(_handler()) if needs_handler else factory()
            modelled = operation._model_name().removeprefix("aws.greengrass#")
            error: BaseException | None = None
            try:
                operation.activate(operation._request_type()()).result(TIMEOUT_S)
                error = operation.get_response().exception(TIMEOUT_S)
            except Exception as raised:  # noqa: BLE001 - whatever the SDK makes of the answer is looked at below
                error = raised
            if not isinstance(error, ServiceError):
                there.add(modelled)
            elif lite:
                assert error.message is None
            else:
                assert modelled in str(error.message)
    finally:
        connection.close().result(TIMEOUT_S)
    assert there == (IMPLEMENTED - {"GetSecretValue"} if lite else IMPLEMENTED)


def _handler() -> Any:
    from awsiot.eventstreamrpc import StreamResponseHandler

    return StreamResponseHandler()
