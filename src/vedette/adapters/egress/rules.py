"""Where our components may connect to; the rules are told in the package."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Final

from vedette.contracts.errors import ConfigurationError
from vedette.core.url_policy import CheckedUrl, UrlPolicy, check_url, webhook_policy

Resolve = Callable[[str], Sequence[str]]

#: IPv6 ranges that carry an IPv4 address inside: nothing public is reached by them.
_TUNNELS: Final = tuple(ipaddress.ip_network(text) for text in ("2002::/16", "2001::/32", "64:ff9b::/96"))
_BROKER: Final = UrlPolicy(frozenset({"mqtt", "mqtts"}), loopback=True, what="MQTT broker")


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
    public = [address for address in checked.addresses if _is_public(address)]
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


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped.is_global
        if any(parsed in network for network in _TUNNELS):
            return False
    return parsed.is_global


def check_broker(host: str, port: int, *, tls: bool, resolver: Resolve = resolve) -> CheckedUrl:
    """A broker's address, resolved and found allowed.

    Raises:
        ConfigurationError: V105, it is not allowed, with the reason.
        OSError: the name cannot be resolved at the moment.
    """
    bracketed = f"[{host}]" if ":" in host else host
    checked = check_url(f"{'mqtts' if tls else 'mqtt'}://{bracketed}:{port}", _BROKER, resolver)
    if (checked.host, checked.port) != (host, port):
        raise ConfigurationError(
            f"MQTT broker {host[:200]!r} is refused: it is neither a name nor an address.", code="V105"
        )
    return checked
