"""Mail and short messages: fields that belong together, placeholders that exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vedette.contracts.manifest import SmsAction
from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.hosts import check_host, check_web_address
from vedette.core.manifest_checks.plain import is_given
from vedette.core.templates import PLACEHOLDERS, placeholders

#: Fields of a short message's action that only one gateway has; the first one of each is needed.
_OF: Final = {
    "http": ("url", "body", "method", "encoding", "header", "allow_private"),
    "serial": ("device", "baud", "mode"),
}
_NEEDED: Final = {"http": ("url", "body"), "serial": ("device",)}


def check_email(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    """A server that is encrypted to, or one of the site."""
    tls, port = action.get("tls", "starttls"), action.get("port")
    private = "with `tls: none` nothing is encrypted" if tls == "none" else ""
    yield from check_host((*path, "host"), action.get("host"), "mail server", private=private)
    if tls == "none" and action.get("secret") is not None:
        yield Finding((*path, "secret"), "a login that would be sent unencrypted", "`tls: starttls` or `tls: implicit`")
    if (tls, port) in (("starttls", 465), ("implicit", 587), ("implicit", 25)):
        usual = "implicit" if port == 465 else "starttls"
        yield Finding(
            (*path, "port"), f"port {port} with `tls: {tls}` is unusual", f"`tls: {usual}` there", level="warning"
        )


def check_sms(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    """The fields of its gateway, all that are needed and none of the other."""
    gateway = action.get("gateway")
    if gateway not in ("http", "serial"):
        return
    other = "serial" if gateway == "http" else "http"
    for field in _NEEDED[gateway]:
        if action.get(field) is None:
            yield Finding((*path, field), f"field `{field}` is missing", f"needed with `gateway: {gateway}`")
    for field in _OF[other]:
        if is_given(SmsAction, action, field):
            yield Finding(
                (*path, field),
                f"`{field}` with `gateway: {gateway}`",
                f"only with `gateway: {other}`",
                f"`gateway: {other}`",
            )
    if gateway == "http":
        yield from check_web_address((*path, "url"), action.get("url"))
        yield from _body(path, action)
        if action.get("header") is not None and action.get("secret") is None:
            yield Finding((*path, "header"), "`header` without `secret`", "`secret` beside it, with `value`")
    elif action.get("mode") == "text" and action.get("parts", 1) != 1:
        yield Finding((*path, "parts"), "several parts with `mode: text`", "1, or `mode: pdu`", "`mode: pdu`")


def _body(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    body = action.get("body")
    if not isinstance(body, dict):
        return
    found = set(placeholders(body))
    allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    for name in sorted(found - set(PLACEHOLDERS)):
        near = near_miss(name, PLACEHOLDERS).strip("`")
        yield Finding(
            (*path, "body"), f"the placeholder {{{name}}} does not exist", allowed, f"`{{{near}}}`" if near else ""
        )
    for name in ("to", "text"):
        if name not in found:
            yield Finding((*path, "body"), f"nothing is filled in for {{{name}}}", f"a field with `{{{name}}}`")
    if action.get("encoding") == "form":
        for key, value in body.items():
            if isinstance(value, dict | list):
                yield Finding((*path, "body", key), "fields within a field of a form", "a text, or `encoding: json`")
