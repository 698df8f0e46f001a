"""Panorama code: what its parameter ports give is of their type, and its hosts may be connected to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vedette.contracts.manifest import PortType
from vedette.core.manifest_checks.finding import Finding
from vedette.core.manifest_checks.hooks import check_peer
from vedette.core.manifest_checks.kinds import shown
from vedette.core.manifest_checks.parameters import parameter_specs
from vedette.core.manifest_checks.plain import dicts, section
from vedette.core.port_values import port_value


def check_panorama(document: dict[str, Any]) -> Iterator[Finding]:
    """What the types of the section cannot say."""
    code = section(document, "panorama")
    network = code.get("network")
    entries = network if isinstance(network, list) else []
    for index, entry in enumerate(entries):
        yield from check_peer(("panorama", "network", index), entry)
    if entries and section(code, "inputs"):
        yield Finding(
            ("panorama", "network"),
            "this code sees pictures and may connect to the network, so it can send pictures off the site",
            "no `network`; a device refuses it unless its configuration says `allowNetwork: always`",
            level="warning",
        )
    yield from _values(document, code)


def _values(document: dict[str, Any], code: dict[str, Any]) -> Iterator[Finding]:
    """Each parameter port gets a value that it can give."""
    specs = parameter_specs(document)
    for port, entry in dicts(code, "parameters").items():
        kind, name = entry.get("type"), entry.get("parameter")
        if kind not in list(PortType):
            continue
        spec = specs.get(name) if isinstance(name, str) else None
        field = "value" if name is None else "parameter"
        value = entry.get("value") if spec is None else spec.default
        if value is None or (name is not None and spec is None):
            continue
        try:
            port_value(PortType(kind), value)
        except ValueError as error:
            found = shown(value) if spec is None else f"parameter {name!r}, which is {shown(value)}"
            yield Finding(("panorama", "parameters", port, field), f"found {found}", f"{error}, for a port of {kind}")
