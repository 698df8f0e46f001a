"""Ports of this machine that lead to ports on which an application's program listens in its own network."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Final

from vedette.adapters.egress.relay import Relay
from vedette.adapters.hooks.reactor import Reactor
from vedette.contracts.manifest import PanoramaRoute

log = logging.getLogger(__name__)

#: Connections of one route at the same time.
MOST_CONNECTIONS: Final = 64

#: Asks for a connection to a port of the program; the answer comes to the callable, None where there is none.
Connect = Callable[[int, Callable[[socket.socket | None], None]], None]


class Routes:
    """All routes of one application. For the reactor's thread.

    Args:
        application: its name.
        routes: of the manifest.
        reactor: whose thread this is for.
        connect: makes connections inside the program's network.
    """

    def __init__(self, application: str, routes: tuple[PanoramaRoute, ...], reactor: Reactor, connect: Connect) -> None:
        self._application = application
        self._reactor = reactor
        self._connect = connect
        self._listeners: list[socket.socket] = []
        self._relays: list[Relay] = []
        self._waiting: set[socket.socket] = set()
        #: Host port → why nobody is listened to there.
        self.problems: dict[int, str] = {}
        for route in routes:
            self._listen(route)

    def close(self) -> None:
        """Listen to nobody any more; idempotent."""
        for listener in self._listeners:
            self._reactor.forget(listener)
            listener.close()
        self._listeners.clear()
        for relay in list(self._relays):
            relay.close()
        for one in self._waiting:
            one.close()
        self._waiting.clear()

    def _listen(self, route: PanoramaRoute) -> None:
        family = socket.AF_INET6 if ":" in route.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((route.address, route.host_port))
            listener.listen(16)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            self.problems[route.host_port] = f"{route.address}:{route.host_port}: {error.strerror}"
            log.warning("application %s: nobody can reach it at %s", self._application, self.problems[route.host_port])
            return
        self._listeners.append(listener)
        self._reactor.watch(listener, lambda _events: self._accept(listener, route.port))

    def _accept(self, listener: socket.socket, port: int) -> None:
        try:
            outside, _ = listener.accept()
        except OSError:
            return
        if len(self._relays) + len(self._waiting) >= MOST_CONNECTIONS:
            outside.close()
            return
        outside.setblocking(False)
        self._waiting.add(outside)
        self._connect(port, lambda inside: self._join(outside, inside))

    def _join(self, outside: socket.socket, inside: socket.socket | None) -> None:
        if outside not in self._waiting or inside is None:
            self._waiting.discard(outside)
            outside.close()
            if inside is not None:
                inside.close()
            return
        self._waiting.discard(outside)
        inside.setblocking(False)
        self._relays.append(Relay(inside, outside, self._reactor, self._relays.remove))
