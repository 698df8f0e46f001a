"""The Unix socket that components connect to with the unmodified Greengrass IPC client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from vedette.contracts.errors import CoreError
from vedette.local.wire import FrameDecoder, Message, MessageFlag, MessageType, WireError, encode

logger = logging.getLogger(__name__)

MAX_SOCKET_PATH_BYTES: Final = 107
MAX_CONNECTIONS: Final = 128
MAX_STREAMS: Final = 512
MAX_IN_FLIGHT: Final = 256
MAX_HELD_EVENTS: Final = 1000
MAX_UNSENT_BYTES: Final = 4 << 20
LITE_MAX_FRAME_BYTES: Final = 10_000  # GGL_IPC_MAX_MSG_LEN of nucleus lite
CONNECT_TIMEOUT_S: Final = 10.0
REFUSAL_GRACE_S: Final = 0.5
_PREFIX: Final = "aws.greengrass#"

Json = dict[str, Any]


class IpcError(Exception):
    """An answer of the error kind.

    Args:
        kind: model name without its prefix, such as ``ServiceError``.
        message: for the component's author; None sends no message at all.
        fields: further fields of the model.
    """

    def __init__(self, kind: str, message: str | None, **fields: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.fields = fields


class Operations(Protocol):
    """What the server asks of whoever implements the operations."""

    def component_of(self, token: str) -> str | None:
        """The component a token belongs to; None where there is none."""
        ...

    def handle(self, call: Call) -> Json | Awaitable[Json]:
        """Carries one request out and answers it; raises IpcError."""
        ...


class Call:
    """One request, and the stream on which events may follow its answer."""

    def __init__(self, connection: Connection, stream_id: int, operation: str, request: Json) -> None:
        self.connection = connection
        self.component = connection.component or ""
        self.operation = operation
        self.request = request
        self._stream_id = stream_id
        self._held: list[tuple[str, Json]] | None = []

    def keep_open(self, on_close: Callable[[], None]) -> None:
        """Keeps the stream for events; ``on_close`` is called when the component or the connection ends it."""
        self.connection.open_stream(self._stream_id, on_close)

    def event(self, model: str, payload: Json) -> None:
        """Sends one event, after the answer: the client takes the first message on a stream for the answer."""
        if self._held is None:
            self.connection.send(MessageType.APPLICATION_MESSAGE, self._stream_id, model, payload)
        elif len(self._held) < MAX_HELD_EVENTS:
            self._held.append((model, payload))
        else:
            self.connection.close("too many events before the answer to their subscription")

    def answered(self) -> None:
        """Releases the events that had to wait for the answer."""
        held, self._held = self._held or [], None
        for model, payload in held:
            self.event(model, payload)


class Connection(asyncio.Protocol):
    """One component's connection."""

    def __init__(self, server: IpcServer) -> None:
        self._server = server
        self._decoder = FrameDecoder(LITE_MAX_FRAME_BYTES) if server.lite else FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_stream = 0
        self._deadline: asyncio.TimerHandle | None = None
        self.component: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Gives the newcomer ten seconds to say who it is."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.admit(self):
            logger.warning("more than %d connections; one is refused", MAX_CONNECTIONS)
            transport.abort()
            return
        self._deadline = asyncio.get_running_loop().call_later(CONNECT_TIMEOUT_S, self._expire)

    def _expire(self) -> None:
        if self.component is None:
            self.close("no CONNECT within 10 s")

    def data_received(self, data: bytes) -> None:
        """Takes frames; the first one that does not follow the protocol ends the connection."""
        try:
            for message in self._decoder.feed(data):
                if self._transport is None or self._transport.is_closing():
                    return
                self._receive(message)
        except WireError as error:
            with contextlib.suppress(WireError):
                self.send(MessageType.PROTOCOL_ERROR, 0, "ProtocolError", {"message": error.message})
            self.close(error.message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forgets every stream."""
        self._server.forget(self)
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._tasks:
            task.cancel()
        for stream_id in list(self._streams):
            self._end_stream(stream_id)
        self._transport = None

    def close(self, reason: str) -> None:
        """Drops the connection and says so in the log."""
        if self._transport is not None and not self._transport.is_closing():
            logger.warning("connection of %s closed: %s", self.component or "an unknown process", reason)
            self._transport.abort()

    def open_stream(self, stream_id: int, on_close: Callable[[], None]) -> None:
        """Keeps a stream until either side ends it."""
        if len(self._streams) >= MAX_STREAMS:
            raise IpcError("ServiceError", f"more than {MAX_STREAMS} streams on one connection")
        self._streams[stream_id] = on_close

    def send(self, kind: MessageType, stream_id: int, model: str, payload: Json, *, flags: int = 0) -> None:
        """Queues one frame; a peer that does not read loses its connection instead of costing memory."""
        if self._transport is None or self._transport.is_closing():
            return
        headers = {":content-type": "application/json", "service-model-type": f"{_PREFIX}{model}"}
        body = json.dumps(payload, separators=(",", ":")).encode()
        self._transport.write(encode(Message(kind, flags, stream_id, headers, body)))
        if self._transport.get_write_buffer_size() > self._server.max_unsent_bytes:
            self.close(f"it does not read its messages ({self._server.max_unsent_bytes} bytes wait)")

    def _receive(self, message: Message) -> None:
        if message.message_type == MessageType.PING:
            self._answer_ping(message)
        elif message.message_type == MessageType.CONNECT:
            self._connect(message)
        elif self.component is None:
            raise WireError("the first message must be CONNECT.")
        elif message.message_type == MessageType.APPLICATION_MESSAGE:
            self._application_message(message)
        elif message.message_type != MessageType.PING_RESPONSE:
            raise WireError(f"message type {message.message_type} is not for a client to send.")

    def _answer_ping(self, message: Message) -> None:
        assert self._transport is not None
        if self.component is None:
            raise WireError("the first message must be CONNECT.")
        self._transport.write(encode(Message(MessageType.PING_RESPONSE, payload=message.payload)))

    def _connect(self, message: Message) -> None:
        assert self._transport is not None
        if self.component is not None:
            raise WireError("CONNECT came twice.")
        token = _object(message.payload).get("authToken")
        name = self._server.operations.component_of(token) if isinstance(token, str) else None
        if name is None:
            logger.warning("a process offered a token that belongs to no component; refused")
            if self._server.lite:  # lite just closes the socket
                self._transport.close()
                return
            self._transport.write(encode(Message(MessageType.CONNECT_ACK)))
            # A client that finds the socket closed at once reports that instead of the refusal.
            asyncio.get_running_loop().call_later(REFUSAL_GRACE_S, self._transport.close)
            return
        self.component = name
        self._transport.write(encode(Message(MessageType.CONNECT_ACK, MessageFlag.CONNECTION_ACCEPTED)))

    def _application_message(self, message: Message) -> None:
        if message.flags & MessageFlag.TERMINATE_STREAM:
            self._end_stream(message.stream_id)
            return
        operation = message.text("operation")
        if message.stream_id <= self._last_stream or operation is None:
            raise WireError(f"stream {message.stream_id} is not a new stream with an operation.")
        self._last_stream = message.stream_id
        call = Call(self, message.stream_id, operation.removeprefix(_PREFIX), _object(message.payload))
        try:
            answer = self._server.operations.handle(call)
        except IpcError as error:
            self._refuse(message.stream_id, error)
            return
        except Exception:  # a mistake of ours must cost one request, not every component
            logger.exception("%s of %s failed", call.operation, call.component)
            self._refuse(message.stream_id, IpcError("ServiceError", "internal error"))
            return
        if isinstance(answer, Mapping):
            self._answer(call, message.stream_id, answer)
            return
        if len(self._tasks) >= MAX_IN_FLIGHT:
            answer.close()  # type: ignore[attr-defined]
            self._refuse(message.stream_id, IpcError("ServiceError", "too many requests at once"))
            return
        task = asyncio.get_running_loop().create_task(self._finish(call, message.stream_id, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, call: Call, stream_id: int, answer: Awaitable[Json]) -> None:
        try:
            self._answer(call, stream_id, await answer)
        except IpcError as error:
            self._refuse(stream_id, error)
        except Exception:  # as in _application_message
            logger.exception("%s of %s failed", call.operation, call.component)
            self._refuse(stream_id, IpcError("ServiceError", "internal error"))

    def _answer(self, call: Call, stream_id: int, payload: Json) -> None:
        done = stream_id not in self._streams and not self._server.lite  # lite leaves such streams open
        flags = MessageFlag.TERMINATE_STREAM if done else 0
        self.send(MessageType.APPLICATION_MESSAGE, stream_id, f"{call.operation}Response", payload, flags=flags)
        call.answered()

    def _refuse(self, stream_id: int, error: IpcError) -> None:
        payload: Json = {"_errorCode": error.kind, **error.fields}
        if error.message is not None:
            payload["_message"] = error.message
            if not self._server.lite:  # the SDK reads "message", which lite does not send
                payload["message"] = error.message
        self._end_stream(stream_id)
        flags = MessageFlag.TERMINATE_STREAM
        self.send(MessageType.APPLICATION_ERROR, stream_id, error.kind, payload, flags=flags)

    def _end_stream(self, stream_id: int) -> None:
        on_close = self._streams.pop(stream_id, None)
        if on_close is not None:
            on_close()


def _object(payload: bytes) -> Json:
    try:
        value = json.loads(payload or b"{}")
    except (ValueError, RecursionError):
        raise WireError("a payload is not valid JSON.") from None
    if not isinstance(value, dict):
        raise WireError("a payload is no JSON object.")
    return value


class IpcServer:
    """Listens on the socket.

    Args:
        path: of the socket, at most 107 bytes.
        operations: what the requests do.
        lite: imitate nucleus lite on the wire (10,000 byte frames, no message texts, streams left open).
        max_unsent_bytes: what may wait for one connection.

    Raises:
        CoreError: the path is too long for a Unix socket.
    """

    def __init__(
        self, path: Path, operations: Operations, *, lite: bool, max_unsent_bytes: int = MAX_UNSENT_BYTES
    ) -> None:
        check_socket_path(path)
        self.operations = operations
        self.lite = lite
        self.max_unsent_bytes = max_unsent_bytes
        self._path = path
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begins to listen; only this user may connect."""
        self._path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self), str(self._path))
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Closes everything."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                if connection._transport is not None:
                    connection._transport.abort()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    def admit(self, connection: Connection) -> bool:
        """Counts a connection; False where there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Takes a connection off the count."""
        self._connections.discard(connection)

    def drop(self, component: str) -> None:
        """Closes every connection of a component that has ended or lost its token."""
        for connection in list(self._connections):
            if connection.component == component and connection._transport is not None:
                connection._transport.abort()


def check_socket_path(path: Path) -> None:
    """Refuses a path that a Unix socket cannot have.

    Raises:
        CoreError: longer than 107 bytes.
    """
    length = len(str(path).encode())
    if length > MAX_SOCKET_PATH_BYTES:
        raise CoreError(
            f"{path}: {length} bytes; a Unix socket's path has at most {MAX_SOCKET_PATH_BYTES}.",
            hint="Choose a folder with a shorter path (--state).",
            code="V401",
        )
