"""Actions: addresses that can be receivers', fields that fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from vedette.core.manifest_checks.finding import Finding, Path
from vedette.core.manifest_checks.hosts import check_host, check_web_address
from vedette.core.manifest_checks.opcua import check_gpio, check_opcua
from vedette.core.manifest_checks.people import check_email, check_sms
from vedette.core.manifest_checks.plain import dicts
from vedette.core.manifest_checks.secrets import check_secret
from vedette.core.manifest_checks.signals import check_modbus, check_moments, check_shared_outputs, check_signal

_Check = Callable[[Path, dict[str, Any]], Iterator[Finding]]


def check_actions(document: dict[str, Any]) -> Iterator[Finding]:
    """Every action for itself, then actions beside each other and the rules that use them."""
    for name, action in dicts(document, "actions").items():
        for check in _CHECKS.get(str(action.get("type")), ()):
            yield from check(("actions", name), action)
        yield from check_secret(("actions", name), action)
    yield from check_moments(document)
    yield from check_shared_outputs(document)


def _webhook(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    yield from check_web_address((*path, "url"), action.get("url"))


def _broker(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    yield from check_host((*path, "host"), action.get("host"), "broker")


def _plc(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    yield from check_host((*path, "host"), action.get("host"), "PLC", private="Modbus is not encrypted")


_CHECKS: Final[dict[str, tuple[_Check, ...]]] = {
    "webhook": (_webhook,),
    "mqtt": (_broker,),
    "email": (check_email,),
    "sms": (check_sms,),
    "modbus": (_plc, check_modbus, check_signal),
    "opcua": (check_opcua, check_signal),
    "gpio": (check_gpio, check_signal),
}
