"""WS-Discovery: one question to everybody on the local network, answers by unicast.

The messages are those of the package ``WSDiscovery``; the sockets are our own. They take no answer but to our own
questions, know the sender of each, and open no well-known port.

Source: Web Services Dynamic Discovery 1.0 (April 2005); ONVIF Core Specification, chapter on device discovery.
"""

from __future__ import annotations

import ipaddress
import logging
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

import ifaddr
from wsdiscovery.actions import constructProbe
from wsdiscovery.message import createSOAPMessage, parseSOAPMessage
from wsdiscovery.qname import QName

from vedette.adapters.discovery.found import Announcement, clean

logger = logging.getLogger(__name__)

GROUP: Final = ("239.255.255.250", 3702)
#: Datagrams get lost; the question is repeated after these times.
REPEAT_S: Final = (0.0, 0.4, 1.2, 2.5)
DATAGRAM_LIMIT: Final = 65_535
#: More devices, devices at one IP address, or addresses of one device are not remembered.
DEVICE_LIMIT: Final = 512
SENDER_LIMIT: Final = 32
XADDR_LIMIT: Final = 8
_POLL_S: Final = 0.1
#: Some cameras answer to one of these types only.
_TYPES: Final = (
    ("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"),
    ("http://www.onvif.org/ver10/device/wsdl", "Device"),
)
_SCOPE: Final = "onvif://www.onvif.org/"


def local_interfaces() -> list[ipaddress.IPv4Interface]:
    """This machine's IPv4 addresses with their networks, without loopback."""
    found: list[ipaddress.IPv4Interface] = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            if isinstance(entry.ip, str):
                interface = ipaddress.IPv4Interface(f"{entry.ip}/{entry.network_prefix}")
                if not interface.is_loopback:
                    found.append(interface)
    return found


def search(
    seconds: float,
    addresses: Sequence[str],
    *,
    group: tuple[str, int] = GROUP,
    on_progress: Callable[[float, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Announcement]:
    """Ask, and collect the answers.

    Args:
        seconds: how long to wait for answers.
        addresses: of this machine's network interfaces; the question goes out on each.
        group: where the question is sent.
        on_progress: called with the seconds passed and the devices found.
        clock: monotonic seconds.

    Returns:
        The devices in the order of their first answer.
    """
    found: dict[tuple[str, str], Announcement] = {}
    questions = [_question(namespace, name) for namespace, name in _TYPES]
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        sockets = [stack.enter_context(connection) for connection in map(_open, addresses) if connection is not None]
        for connection in sockets:
            selector.register(connection, selectors.EVENT_READ)
        started_s = clock()
        waiting = list(REPEAT_S)
        while (passed_s := clock() - started_s) < seconds:
            if waiting and passed_s >= waiting[0]:
                waiting.pop(0)
                _ask(sockets, questions, group)
            if on_progress is not None:
                on_progress(passed_s, len(found))
            if not sockets:
                break
            for key, _ in selector.select(min(_POLL_S, seconds - passed_s)):
                _receive(key.fileobj, found)
    return list(found.values())


def _open(address: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        connection.bind((address, 0))
    except OSError as error:
        logger.debug("no search on %s: %s", address, error)
        connection.close()
        return None
    return connection


def _question(namespace: str, name: str) -> bytes:
    return str(createSOAPMessage(constructProbe([QName(namespace, name)], []))).encode()


def _ask(sockets: Sequence[socket.socket], questions: Sequence[bytes], group: tuple[str, int]) -> None:
    for connection in sockets:
        for question in questions:
            try:
                connection.sendto(question, group)
            except OSError as error:  # an interface without multicast, such as a tunnel
                logger.debug("no question to %s:%d: %s", *group, error)


def _receive(connection: Any, found: dict[tuple[str, str], Announcement]) -> None:
    try:
        data, (sender, _port) = connection.recvfrom(DATAGRAM_LIMIT)
    except OSError:  # the rest of an earlier failure to send
        return
    for entry in parse_answer(data, sender):
        key = (sender, entry.endpoint)
        known = found.get(key)
        if known is not None:
            merged = tuple(dict.fromkeys(known.xaddrs + entry.xaddrs))[:XADDR_LIMIT]
            found[key] = replace(known, xaddrs=merged)
        elif len(found) < DEVICE_LIMIT and sum(other == sender for other, _ in found) < SENDER_LIMIT:
            found[key] = entry


def parse_answer(data: bytes, sender: str) -> list[Announcement]:
    """The devices that a datagram announces; none where it is no answer."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return []
    try:
        envelope = parseSOAPMessage(data, sender)
        matches = list(envelope.getProbeResolveMatches())[:SENDER_LIMIT] if envelope is not None else []
        return [_announcement(match, sender) for match in matches]
    except Exception as error:  # noqa: BLE001 - a stranger's datagram: the parser fails in many ways, none matters
        logger.debug("%s sent what is no answer: %s", sender, error)
        return []


def _announcement(match: Any, sender: str) -> Announcement:
    scopes = [str(scope.getValue()) for scope in match.getScopes()]
    return Announcement(
        sender,
        tuple(dict.fromkeys(str(xaddr)[:500] for xaddr in match.getXAddrs()))[:XADDR_LIMIT],
        name=_scope(scopes, "name/"),
        hardware=_scope(scopes, "hardware/"),
        endpoint=str(match.getEPR())[:200],
    )


def _scope(scopes: Sequence[str], kind: str) -> str:
    prefix = _SCOPE + kind
    return next((clean(unquote(scope[len(prefix) :])) for scope in scopes if scope.startswith(prefix)), "")
