"""Where our components may connect to; the rules are told in the package."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final

from vedette.contracts.errors import ConfigurationError
from vedette.core.url_policy import CheckedUrl, UrlPolicy, check_url, is_public, webhook_policy

Resolve = Callable[[str], Sequence[str]]

_PEER: Final = UrlPolicy(frozenset({"https"}), loopback=True, what="host")


def resolve(host: str) -> Sequence[str]:
    """Addresses of a name, as the system's resolver gives them.

    Raises:
        OSError: the name cannot be resolved at the moment.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def check_http(url: str, *, allow_private: bool, resolver: Resolve = resolve) -> CheckedUrl:
    """An address of a webhook, resolved and found allowed.

    Raises:
        ConfigurationError: V105, it is not allowed, with the reason.
        OSError: the name cannot be resolved at the moment.
    """
    checked = check_url(url, webhook_policy(loopback=allow_private), resolver)
    public = [address for address in checked.addresses if is_public(address)]
    if not allow_private and (len(public) < len(checked.addresses) or checked.scheme != "https"):
        raise ConfigurationError(
            f"webhook address {checked.shown!r} is refused: it is "
            f"{'not encrypted' if checked.scheme != 'https' else 'on a private network'}.",
            hint="Set `allow_private: true` where the receiver is on the site's own network.",
            code="V105",
        )
    if checked.scheme == "http" and public:
        raise ConfigurationError(
            f"webhook address {checked.shown!r} is refused: http to a public address is not encrypted.",
            hint="Use https.",
            code="V105",
        )
    return checked


def check_broker(host: str, port: int, *, tls: bool, resolver: Resolve = resolve) -> CheckedUrl:
    """A broker's address, resolved and found allowed.

    Raises:
        ConfigurationError: V105, it is not allowed, with the reason.
        OSError: the name cannot be resolved at the moment.
    """
    return check_service("MQTT broker", "mqtts" if tls else "mqtt", host, port, resolver=resolver)


def check_service(
    what: str, scheme: str, host: str, port: int, *, private: bool = False, resolver: Resolve = resolve
) -> CheckedUrl:
    """The address of a service of any protocol, resolved and found allowed. This machine is allowed.

    Args:
        what: for messages, such as ``PLC``.
        scheme: for messages.
        host: name or address.
        port: TCP port.
        private: whether it has to be on the site's own network or this machine, because the protocol has no
            encryption that a public network needs.
        resolver: name → addresses.

    Raises:
        ConfigurationError: V105, it is not allowed, with the reason.
        OSError: the name cannot be resolved at the moment.
    """
    bracketed = f"[{host}]" if ":" in host else host
    policy = UrlPolicy(frozenset({scheme}), loopback=True, what=what)
    checked = check_url(f"{scheme}://{bracketed}:{port}", policy, resolver)
    if (checked.host, checked.port) != (host, port):
        raise ConfigurationError(f"{what} {host[:200]!r} is refused: it is neither a name nor an address.", code="V105")
    public = [address for address in checked.addresses if is_public(address)]
    if private and public:
        raise ConfigurationError(
            f"{what} {host[:200]!r} is refused: {public[0]} is a public address, and {scheme} is not encrypted.",
            hint="Name a receiver on the site's own network.",
            code="V105",
        )
    return checked


def check_peer(host: str, port: int, *, allow_private: bool, resolver: Resolve = resolve) -> CheckedUrl:
    """A host that an application's own code may speak to, resolved and found allowed. What it speaks is its business.

    Raises:
        ConfigurationError: V105, it is not allowed, with the reason.
        OSError: the name cannot be resolved at the moment.
    """
    bracketed = f"[{host}]" if ":" in host else host
    checked = check_url(f"https://{bracketed}:{port}", _PEER, resolver)
    if not allow_private and not all(map(is_public, checked.addresses)):
        raise ConfigurationError(
            f"host {host[:200]!r} is refused: it is on a private network.",
            hint="Give the entry `allow_private: true` where the host is on the site's own network.",
            code="V105",
        )
    return checked
