"""Values of parameters on a device: what the deployment says, what was set here, what is in force."""

from __future__ import annotations

import logging
import pwd
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from vedette.contracts.config import LocalValue, LocalValues
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Manifest, ParameterValue
from vedette.contracts.plan import AttachedApplication
from vedette.contracts.state import ParameterState
from vedette.core.manifest_checks.kinds import ValueRefusedError, shown
from vedette.core.manifest_checks.parameters import ParameterSpec
from vedette.core.parameters import parameter_values, parameters_of, with_parameters

logger = logging.getLogger(__name__)

#: Applications whose local values are kept while they are not attached; the ones detached first are forgotten first.
MAX_KEPT: Final = 64

Local = dict[str, LocalValues]


def user_name(uid: int) -> str:
    """A user of this machine as people know him."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def effective(application: AttachedApplication, local: LocalValues | None) -> tuple[Manifest, list[str]]:
    """The manifest with all values in force, and what is wrong with those that are not.

    A value that the manifest does not allow (an older release may have stored it) is left out, the others hold.
    """
    manifest, problems = application.manifest, []
    for source, values in (("deployed", application.parameters), ("set on this device", _plain(local))):
        try:
            manifest = with_parameters(manifest, values)
        except ConfigurationError as error:
            problems.append(f"value {source}: {error.message}")
            for name, value in values.items():
                try:
                    manifest = with_parameters(manifest, {name: value})
                except ConfigurationError:
                    continue
    return manifest, problems


def after_attaching(application: AttachedApplication, local: Local) -> Local:
    """The local values once an application is attached: its own go where version or deployed values are others."""
    name = application.manifest.name
    own = local.get(name)
    if own is None:
        return local
    if own.version == application.manifest.version and own.deployed == application.parameters:
        return local
    listed = ", ".join(f"{key} = {shown(entry.value)}" for key, entry in own.values.items())
    logger.info("application %s is deployed anew: what was set on this device goes (%s)", name, listed)
    return {key: values for key, values in local.items() if key != name}


def after_setting(
    application: AttachedApplication, local: Local, values: Mapping[str, ParameterValue | None], by: str, now_s: float
) -> Local:
    """The local values once some were set; None takes one back.

    Raises:
        ConfigurationError: V106, no such parameter or a value that is not allowed.
    """
    name, manifest = application.manifest.name, application.manifest
    own = local.get(name)
    kept = dict(own.values) if own is not None else {}
    specs = parameters_of(manifest)
    kept = {key: entry for key, entry in kept.items() if key in specs}
    # Together with the others that hold: values may be right each and wrong together. Unknown names are to be told of
    # even where they are only taken back.
    together = (
        {key: entry.value for key, entry in kept.items()} | dict(values) | dict.fromkeys(values.keys() - specs, 0)
    )
    with_parameters(effective(application, None)[0], together)
    for key, value in values.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = LocalValue(value=specs[key].kind.read(value), by=by, at_wall_s=now_s)
    rest = {key: entry for key, entry in local.items() if key != name}
    if not kept:
        return rest
    fresh = LocalValues(application=name, version=manifest.version, deployed=application.parameters, values=kept)
    return {**rest, name: fresh}


def bounded(local: Local, attached: Iterable[str]) -> Local:
    """At most ``MAX_KEPT`` of applications that are not attached; the newest entries stay."""
    here = set(attached)
    away = [name for name in local if name not in here]
    gone = set(away[: max(0, len(away) - MAX_KEPT)])
    return {name: values for name, values in local.items() if name not in gone}


def describe(application: AttachedApplication, local: LocalValues | None) -> tuple[ParameterState, ...]:
    """Every parameter with the value in force and where it comes from."""
    manifest, _ = effective(application, local)
    values = parameter_values(manifest)
    states = []
    for name, spec in parameters_of(application.manifest).items():
        here = local.values.get(name) if local is not None else None
        deployed = _read(spec, application.parameters.get(name))
        source: Literal["local", "deployment", "manifest"] = (
            "local" if here is not None else "deployment" if deployed is not None else "manifest"
        )
        states.append(
            ParameterState(
                name=name,
                title=spec.title,
                value=values[name],
                source=source,
                default=spec.default,
                deployed=deployed,
                local=None if here is None else here.value,
                by="" if here is None else here.by,
                at_wall_s=None if here is None else here.at_wall_s,
                allowed=spec.kind.allowed,
                places=tuple(".".join(place) for place in spec.places),
            )
        )
    return tuple(states)


def _read(spec: ParameterSpec, raw: ParameterValue | None) -> ParameterValue | None:
    try:
        return None if raw is None else spec.kind.read(raw)
    except ValueRefusedError:
        return None  # not in force, as ``effective`` tells


def _plain(local: LocalValues | None) -> dict[str, ParameterValue | None]:
    return {} if local is None else {name: entry.value for name, entry in local.values.items()}
