"""The body of a provisioning template: a thing, its certificate, its policies, with places for parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vedette.local.cloud.api import ApiError

_KINDS: Final = ("AWS::IoT::Thing", "AWS::IoT::Certificate", "AWS::IoT::Policy")
_PLACE: Final = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Filled:
    """A body with its places filled.

    Attributes:
        thing: properties of the thing.
        certificate: properties of the certificate.
        policies: names of policies.
        configuration: what the device is told.
        overrides: what becomes of a thing that is there already, by property.
    """

    thing: dict[str, Any]
    certificate: dict[str, Any]
    policies: tuple[str, ...]
    configuration: dict[str, Any]
    overrides: dict[str, str]


@dataclass(frozen=True, slots=True)
class Template:
    """A body.

    Attributes:
        parameters: declared ones, with their defaults; None where there is none.
        resources: as they are written.
        configuration: as it is written.
    """

    parameters: Mapping[str, str | None]
    resources: Mapping[str, Any]
    configuration: Mapping[str, Any]

    def filled(self, values: Mapping[str, str]) -> Filled:
        """The body with parameters in place.

        Raises:
            ApiError: a parameter has no value.
        """
        known = {k: v for k, v in self.parameters.items() if v is not None} | dict(values)
        missing = sorted(set(self.parameters) - set(known))
        if missing:
            raise ApiError("InvalidRequestException", f"Parameters without a value: {', '.join(missing)}.")
        found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}
        for resource in self.resources.values():
            found[resource["Type"]].append(_fill(resource.get("Properties", {}), known))
        (thing,), (certificate,) = found["AWS::IoT::Thing"], found["AWS::IoT::Certificate"]
        policies = tuple(str(one["PolicyName"]) for one in found["AWS::IoT::Policy"])
        overrides = next(
            one.get("OverrideSettings", {}) for one in self.resources.values() if one["Type"] == "AWS::IoT::Thing"
        )
        return Filled(thing, certificate, policies, _fill(dict(self.configuration), known), dict(overrides))


def read_body(text: str) -> Template:
    """Read a body.

    Raises:
        ApiError: it is not one, or holds what is not emulated.
    """
    try:
        document = json.loads(text)
        resources = dict(document["Resources"])
        kinds = [one["Type"] for one in resources.values()]
    except (ValueError, TypeError, KeyError) as error:
        raise ApiError("InvalidRequestException", f"The template's body cannot be read: {error!r}") from None
    for kind in kinds:
        if kind not in _KINDS:
            raise ApiError(
                "InvalidRequestException", f"The type {kind} is not emulated; there are {', '.join(_KINDS)}."
            )
    for kind in _KINDS[:2]:
        if kinds.count(kind) != 1:
            raise ApiError("InvalidRequestException", f"The template needs one {kind}; it has {kinds.count(kind)}.")
    parameters = {name: about.get("Default") for name, about in (document.get("Parameters") or {}).items()}
    # Given by the service, whether the template declares it or not.
    parameters.pop("AWS::IoT::Certificate::Id", None)
    return Template(parameters, resources, document.get("DeviceConfiguration") or {})


def _fill(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_fill(one, known) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, argument),) = value.items()
        if key == "Ref":
            return _value(str(argument), known)
        if key == "Fn::Join":
            return str(argument[0]).join(str(_fill(one, known)) for one in argument[1])
        if key == "Fn::Sub":
            return _PLACE.sub(lambda found: _value(found[1], known), str(argument))
        if key.startswith("Fn::"):
            raise ApiError("InvalidRequestException", f"The function {key} is not emulated.")
    return {key: _fill(one, known) for key, one in value.items()}


def _value(name: str, known: Mapping[str, str]) -> str:
    if name not in known:
        raise ApiError("InvalidRequestException", f"The template refers to {name!r}, which has no value.")
    return known[name]
