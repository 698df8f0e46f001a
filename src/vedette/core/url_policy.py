"""Which addresses our components may connect to. Pure: names are resolved by a function handed in.

What was checked is what is connected to: the caller uses ``CheckedUrl.addresses`` and never resolves again, so a
name server that changes its answer in between (rebinding) changes nothing. Redirects are checked like any other URL.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from vedette.contracts.errors import ConfigurationError
from vedette.core.redact import redact

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "mqtt": 1883, "mqtts": 8883}

#: Addresses at which clouds serve credentials to whoever asks, beyond the link-local range.
METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")
)
#: IPv6 ranges that carry an IPv4 address inside: nothing public is reached by them.
_TUNNELS: Final = tuple(ipaddress.ip_network(text) for text in ("2002::/16", "2001::/32", "64:ff9b::/96"))
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_THIS_NETWORK: Final = ipaddress.ip_network("0.0.0.0/8")

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST_NAME: Final = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)
_NUMERIC_LABEL: Final = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)\.?")
_DEVICE: Final = re.compile(r"/dev/(?:video[0-9]{1,3}|v4l/by-(?:id|path)/[A-Za-z0-9_.:+-]{1,200})")


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """What is allowed.

    Attributes:
        schemes: lower case.
        loopback: whether this machine itself may be addressed (127.0.0.0/8, ::1).
        userinfo: whether ``user:password@`` may stand in the URL.
        networks: CIDR ranges the address must be in; any where empty.
        what: what the address is of, for messages.
    """

    schemes: frozenset[str]
    loopback: bool
    userinfo: bool = False
    networks: tuple[str, ...] = ()
    what: str = "address"


def camera_policy(networks: Sequence[str] = (), *, loopback: bool = True) -> UrlPolicy:
    """For cameras. Loopback is allowed unless switched off: camera simulators and local gateways live there."""
    return UrlPolicy(
        frozenset({"rtsp", "rtsps", "file", "v4l2"}), loopback, userinfo=True, networks=tuple(networks), what="camera"
    )


def webhook_policy(networks: Sequence[str] = (), *, loopback: bool = False) -> UrlPolicy:
    """For webhooks. Loopback is refused unless switched on: other services of the device listen there."""
    return UrlPolicy(frozenset({"http", "https"}), loopback, networks=tuple(networks), what="webhook")


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A URL taken apart, found harmless.

    Attributes:
        scheme: lower case.
        host: as written, without brackets; empty for files and devices.
        port: given or the scheme's own; 0 for files and devices.
        addresses: every address of the host, all of them allowed; connect to these and to no other.
        target: path and query for network schemes, the path for files and devices.
        username: decoded; empty where there is none.
        password: decoded; empty where there is none.
    """

    scheme: str
    host: str = ""
    port: int = 0
    addresses: tuple[str, ...] = ()
    target: str = ""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_network(self) -> bool:
        """Whether there is a host to connect to."""
        return bool(self.host)

    @property
    def shown(self) -> str:
        """For people: without credentials."""
        if not self.is_network:
            return self.target if self.scheme == "file" else f"{self.scheme}://{self.target}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS.get(self.scheme) == self.port else f":{self.port}"
        return redact(f"{self.scheme}://{host}{port}{self.target}")


def check_url(url: str, policy: UrlPolicy, resolve: Callable[[str], Sequence[str]]) -> CheckedUrl:
    """Take a URL apart and check it.

    Args:
        url: as configured. A path without a scheme is a file where the policy allows files.
        policy: what is allowed.
        resolve: host name → addresses; its ``OSError`` passes through.

    Raises:
        ConfigurationError: V105, with what was found and what is allowed; never with the credentials.
        OSError: from ``resolve``, the name cannot be resolved at the moment.
    """
    if not url or any(ord(character) < 0x21 or ord(character) == 0x7F for character in url.replace(" ", "")):
        raise _refused(policy, url, "it is empty or holds control characters")
    match = _SCHEME.match(url)
    if match is None:
        if "file" in policy.schemes:
            if ":" in url.partition("/")[0]:  # FFmpeg has protocols such as "subfile,,…:"
                raise _refused(policy, url, "a file name with a colon is written with its folder, such as ./a:b.mp4")
            return CheckedUrl("file", target=url)
        raise _refused(policy, url, "it has no scheme")
    scheme = match[1].lower()
    if scheme not in policy.schemes:
        raise _refused(policy, url, f"the scheme {scheme!r} is not allowed")
    rest = url[match.end() :]
    if scheme == "file":
        return CheckedUrl("file", target=_local_path(policy, url, rest))
    if scheme == "v4l2":
        path = _local_path(policy, url, rest)
        if not _DEVICE.fullmatch(path) or "/." in path:
            raise _refused(policy, url, "a V4L2 device is written v4l2:///dev/video0")
        return CheckedUrl("v4l2", target=path)
    return _check_network(url, scheme, rest, policy, resolve)


def check_address(address: str, policy: UrlPolicy) -> str:
    """Why an IP address is not allowed; empty where it is.

    Addresses that carry another inside them (IPv4-mapped, 6to4, Teredo, NAT64) are judged by both.
    """
    try:
        parsed: Address = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return f"{address!r} is no IP address"
    for candidate in (parsed, *_embedded(parsed)):
        reason = _why_not(candidate, policy)
        if reason:
            return f"{address} {reason}"
    return ""


def is_public(address: str) -> bool:
    """Whether an address is of the public internet, in whatever form."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped.is_global
        if any(parsed in network for network in _TUNNELS):
            return False
    return parsed.is_global


def _check_network(
    url: str, scheme: str, rest: str, policy: UrlPolicy, resolve: Callable[[str], Sequence[str]]
) -> CheckedUrl:
    if not rest.startswith("//"):
        raise _refused(policy, url, f"{scheme} addresses are written {scheme}://host/path")
    if "\\" in url or " " in url:
        raise _refused(policy, url, "it holds a space or a backslash; write them percent-encoded")
    end = min((position for mark in "/?#" if (position := rest.find(mark, 2)) >= 0), default=len(rest))
    authority, target = rest[2:end], rest[end:]
    target = target.split("#", 1)[0]
    userinfo, _, location = authority.rpartition("@")
    if userinfo and not policy.userinfo:
        raise _refused(policy, url, "it holds a user name; credentials belong in a secret")
    host, port = _host_and_port(url, location, scheme, policy)
    plain_name = not {".", ":"} & set(host) and host != "localhost"  # may as well be a user, its port a password
    if "@" in rest[end:] and ":" in location and not userinfo and plain_name:
        raise _refused(policy, url, "an unescaped / ? or # stands before the @: percent-encode the password")
    literal = _literal(url, host, policy)
    addresses = (literal,) if literal else tuple(dict.fromkeys(resolve(host)))
    if not addresses:
        raise OSError(f"the name {host!r} has no address")
    for address in addresses:
        reason = check_address(address, policy)
        if reason:
            raise _refused(policy, url, reason)
    username, _, password = userinfo.partition(":")
    return CheckedUrl(scheme, host, port, addresses, target, unquote(username), unquote(password))


def _host_and_port(url: str, location: str, scheme: str, policy: UrlPolicy) -> tuple[str, int]:
    if location.startswith("["):
        host, bracket, port_text = location[1:].partition("]")
        if not bracket or (port_text and not port_text.startswith(":")):
            raise _refused(policy, url, "the IPv6 address is not closed by ]")
        port_text = port_text[1:]
        if "%" in host:
            raise _refused(policy, url, "IPv6 zones are not allowed")
    else:
        host, _, port_text = location.partition(":")
    if not host:
        raise _refused(policy, url, "it has no host")
    if not port_text:
        return host, DEFAULT_PORTS[scheme]
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and 0 < int(port_text) < 65536):
        raise _refused(
            policy,
            url,
            "what stands after the host is no port; a password with / ? # or @ must be percent-encoded",
        )
    return host, int(port_text)


def _literal(url: str, host: str, policy: UrlPolicy) -> str:
    """The host as an address where it is one; empty where it is a name.

    Other spellings of IPv4 (one decimal number, octal, hexadecimal, fewer than four parts) are refused: resolvers
    accept them, and a check that does not would be fooled.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise _refused(policy, url, f"{host!r} is an unusual spelling of an IPv4 address; write four decimal numbers")
    if len(host) > 253 or not _HOST_NAME.fullmatch(host):
        raise _refused(policy, url, "the host is neither a name nor an address")
    return ""


def _embedded(address: Address) -> list[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inner: list[Address] = [a for a in (address.ipv4_mapped, address.sixtofour) if a is not None]
    if address.teredo is not None:
        inner += address.teredo
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):  # the latter: IPv4-compatible, long dead
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return inner


def _why_not(address: Address, policy: UrlPolicy) -> str:
    if address.is_link_local or address in METADATA_ADDRESSES:
        return "is a link-local or cloud metadata address, where credentials are served"
    if address.is_unspecified or address in _THIS_NETWORK:
        return "is no address of a host"
    if address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
        return "is a multicast or broadcast address"
    if address.is_loopback:
        return "" if policy.loopback else "is this machine itself"
    if address.is_reserved and not (isinstance(address, ipaddress.IPv6Address) and _embedded(address)):
        return "is a reserved address"
    if policy.networks and not _only_wraps(address):
        networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in policy.networks]
        if not any(address.version == network.version and address in network for network in networks):
            return f"is outside the allowed networks {', '.join(policy.networks)}"
    return ""


def _only_wraps(address: Address) -> bool:
    """Whether an address only wraps an IPv4 one, which is then judged itself."""
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _local_path(policy: UrlPolicy, url: str, rest: str) -> str:
    if rest.startswith("//"):
        rest = rest[2:]
        if not rest.startswith("/"):
            raise _refused(policy, url, "local paths are written with three slashes: file:///path")
    path = unquote(rest)
    if not path or "\0" in path:
        raise _refused(policy, url, "it has no path")
    return path


def _refused(policy: UrlPolicy, url: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{policy.what} address {redact(url)[:200]!r} is refused: {why}.",
        hint=f"Allowed schemes: {', '.join(sorted(policy.schemes))}.",
        code="V105",
    )
