"""Makes connections for the confined process, where its manifest and this device allow them."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.egress.relay import Relay, connect_checked
from vedette.adapters.egress.rules import Resolve, resolve
from vedette.adapters.hooks import framing
from vedette.adapters.hooks.output import printable
from vedette.adapters.hooks.reactor import Reactor
from vedette.contracts.errors import VedetteError
from vedette.contracts.hook_messages import ConnectRequest
from vedette.contracts.manifest import NetworkPeer

log = logging.getLogger(__name__)

#: Connections of one process at the same time, those being made included.
MAX_CONNECTIONS: Final = 8
_REQUEST_LIMIT_BYTES: Final = 4096
#: A refusal is logged once for each host, and no more hosts than this are remembered.
_MAX_REMEMBERED: Final = 64


@dataclass(slots=True)
class Traffic:
    """What went over the network for one hook since its warden started.

    Attributes:
        sent_bytes: bytes that left.
        received_bytes: bytes that came.
        connections: made.
        refused: asked for and refused.
        problem: the last refusal, for people.
    """

    sent_bytes: int = 0
    received_bytes: int = 0
    connections: int = 0
    refused: int = 0
    problem: str = ""


class Broker:
    """One hook's way to the network.

    Args:
        name: ``<application>/<hook>``.
        peers: hosts that the manifest names.
        refusal: why there is no network at all; empty where there is.
        reactor: whose thread this is for.
        resolver: name → addresses.
    """

    def __init__(
        self,
        name: str,
        peers: Sequence[NetworkPeer],
        refusal: str,
        reactor: Reactor,
        resolver: Resolve = resolve,
    ) -> None:
        self._name = name
        self._peers = {(peer.host.casefold().rstrip("."), peer.port): peer for peer in peers}
        self._refusal = refusal
        self._reactor = reactor
        self._resolver = resolver
        self._said: set[str] = set()
        self._past = Traffic()
        self._relays: list[Relay] = []

    def serve(self, requests: socket.socket) -> Session:
        """Answer the requests that come in here; until closed."""
        return Session(self, requests, self._reactor)

    def traffic(self) -> Traffic:
        """Totals, with what is going on now."""
        now = Traffic(**{name: getattr(self._past, name) for name in Traffic.__dataclass_fields__})
        for relay in self._relays:
            now.sent_bytes += relay.sent_bytes
            now.received_bytes += relay.received_bytes
        return now

    def allowed(self, request: ConnectRequest) -> NetworkPeer | None:
        """The entry of the manifest that a request goes by."""
        return None if self._refusal else self._peers.get((request.host.casefold().rstrip("."), request.port))

    def refuse(self, request: ConnectRequest) -> str:
        """Why a request is refused, for the code and for people."""
        known = ", ".join(f"{peer.host}:{peer.port}" for peer in self._peers.values()) or "none"
        why = self._refusal or f"the manifest allows {known}"
        return self.note_refused(request, f"V806 connection to {request.host[:100]}:{request.port} refused: {why}")

    def note_refused(self, request: ConnectRequest, text: str) -> str:
        """Count a refusal and say it once."""
        self._past.refused += 1
        self._past.problem = printable(text)[:300]
        host = f"{request.host}:{request.port}"
        if host not in self._said and len(self._said) < _MAX_REMEMBERED:
            self._said.add(host)
            log.warning("hook %s: %s", self._name, self._past.problem)
        return self._past.problem

    def connect(self, peer: NetworkPeer, timeout_s: float) -> socket.socket:
        """Connect. Waits; for a thread of its own.

        Raises:
            VedetteError: V105, the address is not allowed.
            OSError: it cannot be reached.
        """
        return connect_checked(
            peer.host, peer.port, allow_private=peer.allow_private, timeout_s=timeout_s, resolver=self._resolver
        )

    def relay(
        self, inside: socket.socket, outside: socket.socket, ended: Callable[[Relay], None] | None = None
    ) -> Relay:
        """Pass bytes on from now on.

        Args:
            inside: the process' socket, not blocking.
            outside: the connection, not blocking.
            ended: called when it has ended.
        """

        def end(relay: Relay) -> None:
            self._ended(relay)
            if ended is not None:
                ended(relay)

        relay = Relay(inside, outside, self._reactor, end)
        self._past.connections += 1
        self._relays.append(relay)
        return relay

    def _ended(self, relay: Relay) -> None:
        with contextlib.suppress(ValueError):
            self._relays.remove(relay)
        self._past.sent_bytes += relay.sent_bytes
        self._past.received_bytes += relay.received_bytes


class Session:
    """The requests of one process. Its connections end with it."""

    def __init__(self, broker: Broker, requests: socket.socket, reactor: Reactor) -> None:
        self._broker = broker
        self._requests = requests
        self._reactor = reactor
        self._decoder = framing.Decoder(_REQUEST_LIMIT_BYTES)
        self._open: list[Relay] = []
        self._connecting = 0
        self._closed = False
        requests.setblocking(False)
        reactor.watch(requests, self._on_request)

    def close(self) -> None:
        """End everything; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._reactor.forget(self._requests)
        self._requests.close()
        for relay in self._open:
            relay.close()
        self._open.clear()

    def _on_request(self, _events: int) -> None:
        try:
            chunk = self._requests.recv(_REQUEST_LIMIT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._reactor.forget(self._requests)
            return
        try:
            for message in self._decoder.feed(chunk):
                self._handle(ConnectRequest.model_validate(message))
        except (framing.FramingError, ValidationError):
            self.close()  # it gets no second chance: its own library does not send such things

    def _handle(self, request: ConnectRequest) -> None:
        peer = self._broker.allowed(request)
        if peer is None:
            self._answer({"errno": errno.EPERM, "refused": self._broker.refuse(request)})
            return
        self._open = [relay for relay in self._open if relay.is_open]
        if len(self._open) + self._connecting >= MAX_CONNECTIONS:
            text = f"V806 more than {MAX_CONNECTIONS} connections at the same time"
            self._answer({"errno": errno.EMFILE, "refused": self._broker.note_refused(request, text)})
            return
        self._connecting += 1
        threading.Thread(target=self._connect, args=(request, peer), name="hook-connect", daemon=True).start()

    def _connect(self, request: ConnectRequest, peer: NetworkPeer) -> None:
        """In a thread of its own: names are looked up, and hosts take their time."""
        try:
            connection = self._broker.connect(peer, request.timeout_s)
        except VedetteError as error:
            refused = error.message
            self._reactor.post(lambda: self._failed(request, errno.EPERM, f"V806 {refused}"))
        except OSError as error:
            number, text = error.errno or errno.ETIMEDOUT, error.strerror or str(error)
            self._reactor.post(lambda: self._failed(None, max(number, 1), text))
        else:
            if not self._reactor.post(lambda: self._connected(connection)):
                connection.close()

    def _failed(self, refused: ConnectRequest | None, number: int, text: str) -> None:
        self._connecting -= 1
        if refused is not None:
            text = self._broker.note_refused(refused, text)
        self._answer({"errno": number, "refused": text})

    def _connected(self, connection: socket.socket) -> None:
        self._connecting -= 1
        if self._closed:
            connection.close()
            return
        inside, theirs = socket.socketpair()
        inside.setblocking(False)
        self._open.append(self._broker.relay(inside, connection))
        self._answer({"connected": True}, theirs)
        theirs.close()

    def _answer(self, message: dict[str, Any], descriptor: socket.socket | None = None) -> None:
        """Answers are short and asked for one at a time; a process that reads none of them is cut off."""
        if self._closed:
            return
        data = framing.encode(message)
        try:
            if descriptor is None:
                sent = self._requests.send(data)
            else:
                sent = socket.send_fds(self._requests, [data], [descriptor.fileno()])
        except OSError:
            sent = 0
        if sent < len(data):
            self.close()
