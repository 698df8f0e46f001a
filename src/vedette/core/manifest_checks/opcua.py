"""OPC UA and GPIO: addresses, values of a type, fields that belong together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from vedette.core.manifest_checks.finding import Finding, Path
from vedette.core.manifest_checks.hosts import check_host

_RANGES: Final = {"Int16": (-(1 << 15), (1 << 15) - 1), "Int32": (-(1 << 31), (1 << 31) - 1)}
_FILES: Final = ("certificate_file", "private_key_file", "server_certificate_file")


def check_opcua(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    """An endpoint that can be one, security that is whole, a value of the variable's type."""
    security = action.get("security", "none")
    yield from _endpoint((*path, "endpoint"), action.get("endpoint"), encrypted=security != "none")
    if security == "none":
        for field in _FILES:
            if action.get(field) is not None:
                yield Finding((*path, field), f"`{field}` without security", "`security: basic256sha256` beside it")
        if action.get("secret") is not None:
            yield Finding(
                (*path, "secret"), "a login that would be sent unencrypted", "`security: basic256sha256` beside it"
            )
    elif security == "basic256sha256":
        for field in _FILES:
            if action.get(field) is None:
                yield Finding((*path, field), f"field `{field}` is missing", "needed with `security: basic256sha256`")
    yield from _value((*path, "value"), str(action.get("value_type")), action.get("value"))
    if action.get("pulse_s") is not None and action.get("value") in (False, 0, "") and action.get("value") is not None:
        yield Finding((*path, "value"), "a pulse of the value at rest changes nothing", "another value")


def check_gpio(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    """One line, named in one way."""
    line, name = action.get("line"), action.get("line_name")
    if line is None and name is None:
        yield Finding(path, "neither `line` nor `line_name`", "exactly one of the two")
    elif line is not None and name is not None:
        yield Finding((*path, "line_name"), "both `line` and `line_name`", "exactly one of the two")
    if action.get("pulse_s") is None:
        yield Finding(path, "without `pulse_s` the line stays active until the process ends", level="warning")


def _endpoint(path: Path, endpoint: Any, *, encrypted: bool) -> Iterator[Finding]:
    if not isinstance(endpoint, str):
        return
    allowed = "opc.tcp://host:port/path"
    try:
        parts = urlsplit(endpoint)
        host, user, port = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:  # its text may repeat a part of a password
        yield Finding(path, "not an address", allowed)
        return
    if parts.scheme != "opc.tcp" or not host:
        better = f"`opc.tcp://{endpoint}`" if "://" not in endpoint and "@" not in endpoint else ""
        yield Finding(path, f"not an address of an OPC UA server (scheme {parts.scheme[:20]!r})", allowed, better)
    elif user:
        yield Finding(path, "credentials in the address", "an address without them, and `secret`")
    elif port == 0:
        yield Finding(path, "port 0", allowed)
    else:
        private = "" if encrypted else "without security nothing is encrypted"
        yield from check_host(path, host, "OPC UA server", private=private)


def _value(path: Path, kind: str, value: Any) -> Iterator[Finding]:
    if kind == "alert":
        if value is not None:
            yield Finding(path, "`value` beside the alert itself", "`value_type: alert` without `value`")
        return
    if value is None:
        if kind in ("Int16", "Int32", "Double", "String"):
            yield Finding(path, "field `value` is missing", f"the {kind} to write")
        return
    if kind == "Boolean" and not isinstance(value, bool):
        yield Finding(path, f"found {value!r}", "true or false")
    elif kind in _RANGES:
        least, greatest = _RANGES[kind]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= greatest:
            yield Finding(path, f"found {_shown(value)}", f"a whole number from {least} to {greatest}")
    elif kind == "Double" and (isinstance(value, bool) or not isinstance(value, int | float)):
        yield Finding(path, f"found {_shown(value)}", "a number")
    elif kind == "String" and not isinstance(value, str):
        yield Finding(path, f"found {_shown(value)}", "text (put it in quotes)")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)[:40]
