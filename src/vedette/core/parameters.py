"""Parameters of an application: from a manifest and values to the manifest in which the values stand."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from vedette.contracts.base import mistakes
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Manifest, ParameterValue
from vedette.core.manifest_checks import check_document, near_miss
from vedette.core.manifest_checks.kinds import ValueRefusedError
from vedette.core.manifest_checks.parameters import ParameterSpec, parameter_specs

_HINT: Final = (
    "`vedette app get` shows the parameters of an application that is attached, `vedette validate` of a file."
)


def parameters_of(manifest: Manifest) -> dict[str, ParameterSpec]:
    """The parameters of an application, by name, in the order of the manifest."""
    return parameter_specs(_document(manifest)) if manifest.parameters else {}


def parameter_values(manifest: Manifest) -> dict[str, ParameterValue]:
    """The value of each parameter as it stands in a manifest, also in one that ``with_parameters`` made."""
    return {name: spec.default for name, spec in parameters_of(manifest).items()}


def with_parameters(manifest: Manifest, values: Mapping[str, Any]) -> Manifest:
    """The manifest with these values at the places that the parameters set.

    A parameter without places has the value as its ``default`` afterwards. The result was checked as a manifest is.

    Args:
        manifest: a valid manifest.
        values: parameter → value, also as text; None leaves the parameter as it is.

    Raises:
        ConfigurationError: V106, no such parameter, or values that are not allowed; the message names all of them.
    """
    given = {name: raw for name, raw in values.items() if raw is not None}
    if not given:
        return manifest
    document = copy.deepcopy(_document(manifest))
    specs = parameter_specs(document)
    problems: list[str] = []
    for name, raw in given.items():
        spec = specs.get(name)
        if spec is None:
            near = near_miss(name, specs)
            known = f"there is {', '.join(specs)}" if specs else "its manifest has none"
            problems.append(f"no parameter is called {name!r}; {known}{f'; meant {near}?' if near else ''}")
            continue
        try:
            _put(document, spec, spec.kind.read(raw))
        except ValueRefusedError as error:
            near = f"; meant {error.suggestion}?" if error.suggestion else ""
            problems.append(f"parameter {name!r}: {error.found}; allowed: {error.allowed}{near}")
    if problems:
        raise _refused(manifest, problems)
    return _checked(manifest, document, given)


def _document(manifest: Manifest) -> dict[str, Any]:
    # Without nulls: a manifest that came over a socket has every field, and an absent one is no contradiction.
    return manifest.model_dump(mode="json", exclude_unset=True, exclude_none=True)


def _put(document: dict[str, Any], spec: ParameterSpec, value: ParameterValue) -> None:
    plain: Any = list(value) if isinstance(value, tuple) else value
    if not spec.places:
        document["parameters"][spec.name]["default"] = plain
    for *parents, last in spec.places:
        here = document
        for part in parents:
            here = here.setdefault(part, {})
        here[last] = plain


def _checked(manifest: Manifest, document: dict[str, Any], given: Mapping[str, Any]) -> Manifest:
    """Values may be right each and wrong together."""
    errors = [finding for finding in check_document(document) if finding.level == "error"]
    problems = [
        f"{'.'.join(map(str, finding.path))}: {finding.message}; allowed: {finding.allowed}" for finding in errors
    ]
    if not problems:
        try:
            return Manifest.model_validate(document)
        except ValidationError as error:
            problems = mistakes(error)
    names = ", ".join(f"{name} = {raw}" for name, raw in given.items())
    raise _refused(manifest, [f"with {names}, {problem}" for problem in problems])


def _refused(manifest: Manifest, problems: list[str]) -> ConfigurationError:
    return ConfigurationError(f"application {manifest.name}: {'; '.join(problems)}.", hint=_HINT, code="V106")
