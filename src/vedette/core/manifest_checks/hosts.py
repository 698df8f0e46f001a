"""Addresses of receivers, as far as they can be judged without asking a name server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from vedette.contracts.errors import ConfigurationError
from vedette.core.manifest_checks.finding import Finding, Path
from vedette.core.url_policy import UrlPolicy, check_url, is_public

#: A documentation address (RFC 5737): what a name stands for until a name server is asked.
_SOME_ADDRESS: Final = "192.0.2.1"
_WITH_PORT: Final = re.compile(r"([^:/@\s\[\]]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")


def check_web_address(path: Path, url: Any) -> Iterator[Finding]:
    """An ``http`` or ``https`` address without credentials."""
    if not isinstance(url, str):
        return
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:  # its text may repeat a part of a password
        yield Finding(path, "not an address", "https://host/path")
        return
    if parts.scheme not in ("http", "https") or not host:
        yield Finding(path, f"not an address of a web server (scheme {parts.scheme[:20]!r})", "https://host/path")
    if user:
        yield Finding(path, "credentials in the address", "an address without them, and `secret` to sign requests")


def check_host(path: Path, host: Any, what: str, *, private: str = "") -> Iterator[Finding]:
    """A name or an address, without a scheme and a port.

    Args:
        path: where it stands.
        host: what stands there.
        what: of whom it is.
        private: why it must be on the site's own network; empty where it need not.
    """
    if not isinstance(host, str):
        return
    allowed = f"the name or address of the {what}, without port"
    if "://" in host or "/" in host:
        _, _, rest = host.rpartition("://")
        inner = rest.partition("/")[0].rpartition("@")[2].rpartition(":")[0] or rest.partition("/")[0]
        yield Finding(path, "an address of another form", allowed, f"`{inner}`" if inner else "")
        return
    if with_port := _WITH_PORT.fullmatch(host):
        name, port = with_port[1].strip("[]"), with_port[2]
        yield Finding(path, f"a port stands behind {name!r}", allowed, f"`{name}` here and `port: {port}`")
        return
    try:
        addresses = _addresses(host)
    except ConfigurationError as error:
        yield Finding(path, error.message.partition(" is refused: ")[2].rstrip(".") or "not an address", allowed)
        return
    if private and (public := [one for one in addresses if one != _SOME_ADDRESS and is_public(one)]):
        yield Finding(path, f"{public[0]} is a public address, and {private}", "an address of the site's own network")


def _addresses(host: str) -> tuple[str, ...]:
    bracketed = f"[{host}]" if ":" in host else host
    policy = UrlPolicy(frozenset({"http"}), loopback=True)
    checked = check_url(f"http://{bracketed}:1", policy, lambda _name: (_SOME_ADDRESS,))
    if checked.host != host:
        raise ConfigurationError("x is refused: it is neither a name nor an address.", code="V105")
    return checked.addresses
