"""What an operator chooses of an application, on top of what a ring runs, and the difference in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Manifest, ParameterValue
from vedette.contracts.rollout import (
    ApplicationChange,
    ApplicationChoice,
    Change,
    ComponentChange,
    ComponentChoice,
)
from vedette.core.manifest_checks import near_miss
from vedette.core.manifest_checks.kinds import shown
from vedette.core.parameters import parameters_of, with_parameters

_ABSENT = "not there"


def choice(
    version: str,
    now: ApplicationChoice | None,
    bindings: Mapping[str, tuple[str, ...]],
    parameters: Mapping[str, ParameterValue | None],
) -> ApplicationChoice:
    """A version with what a ring says of the application now, and what was given over that.

    Args:
        version: of the application.
        now: what the ring runs of it; None where it does not, or nothing is to be kept.
        bindings: given; a camera with no cameras is bound by its name again.
        parameters: given; None takes the manifest's value again.
    """
    bound = {**(now.bindings if now is not None else {}), **bindings}
    values = {**(now.parameters if now is not None else {}), **parameters}
    return ApplicationChoice(
        version=version,
        bindings={name: cameras for name, cameras in sorted(bound.items()) if cameras},
        parameters={name: value for name, value in sorted(values.items()) if value is not None},
    )


def checked(manifest: Manifest, wanted: ApplicationChoice) -> ApplicationChoice:
    """A choice whose bindings and values the manifest knows, the values with their types.

    Raises:
        ConfigurationError: V104, it names a camera that the manifest has not; V106, a value is not allowed.
    """
    for name in wanted.bindings:
        if name not in manifest.cameras:
            near = near_miss(name, manifest.cameras)
            meant = f"; meant {near}?" if near else ""
            raise ConfigurationError(
                f"application {manifest.name} {manifest.version} has no camera {name!r} to bind; it has "
                f"{', '.join(sorted(manifest.cameras)) or 'none'}{meant}",
                hint="Cameras are those of vedette.yaml; --bind NAME= takes a binding away.",
                code="V104",
            )
    with_parameters(manifest, wanted.parameters)  # names all that is not allowed, values that are wrong together too
    specs = parameters_of(manifest)
    typed = {name: specs[name].kind.read(value) for name, value in wanted.parameters.items()}
    return wanted.model_copy(update={"parameters": typed})


def common(found: Iterable[ApplicationChoice | None]) -> tuple[ApplicationChoice | None, bool]:
    """What rings run of an application: the first one's choice, and whether bindings and values are the same in all."""
    there = [one for one in found if one is not None]
    alike = {(tuple(sorted(one.bindings.items())), tuple(sorted(one.parameters.items()))) for one in there}
    return (there[0] if there else None), len(alike) <= 1


def changes(now: Change, to: Change) -> tuple[str, ...]:
    """What a change does to a ring, a line each; nothing where the ring has it already."""
    if isinstance(now, ApplicationChange) and isinstance(to, ApplicationChange):
        return tuple(_application(now.to, to.to))
    if isinstance(now, ComponentChange) and isinstance(to, ComponentChange):
        lines: list[str] = []
        for name, choice_ in sorted(to.to.items()):
            lines += _component(name, now.to.get(name), choice_)
        return tuple(lines)
    return ()


def runs(change: Change) -> str:
    """What a ring runs of what a change is about, in a word or two."""
    if isinstance(change, ApplicationChange):
        return change.to.version if change.to is not None else "-"
    there = [f"{name} {one.version}" for name, one in change.to.items() if one is not None]
    return f"{len(there)} components" if len(there) > 1 else there[0] if there else "-"


def _application(now: ApplicationChoice | None, to: ApplicationChoice | None) -> Iterator[str]:
    if now is None or to is None:
        if now is not to:
            yield "taken out" if to is None else f"new, version {to.version}"
        if to is not None:
            yield from _differences("camera", {}, to.bindings)
            yield from _differences("parameter", {}, to.parameters)
        return
    if now.version != to.version:
        yield f"version {now.version} → {to.version}"
    yield from _differences("camera", now.bindings, to.bindings)
    yield from _differences("parameter", now.parameters, to.parameters)


def _component(name: str, now: ComponentChoice | None, to: ComponentChoice | None) -> Iterator[str]:
    if now == to:
        return
    if now is None or to is None:
        yield f"{name} taken out" if to is None else f"{name} new, version {to.version}"
        return
    if now.version != to.version:
        yield f"{name} {now.version} → {to.version}"
    yield from (f"{name} {line}" for line in _differences("", now.configuration, to.configuration))


def _differences(word: str, now: Mapping[str, Any], to: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*now, *to}):
        if now.get(name) != to.get(name):
            label = f"{word} {name}".strip()
            yield f"{label}: {_said(now.get(name), word)} → {_said(to.get(name), word)}"


def _said(value: Any, word: str) -> str:
    if value is None:
        return {"camera": "by name", "parameter": "as in the manifest"}.get(word, _ABSENT)
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return shown(value)


def unknown_cameras(wanted: ApplicationChoice, manifest: Manifest, known: Sequence[str]) -> tuple[str, ...]:
    """Cameras of the site that the application would be bound to and no device has told of; all where none told any."""
    bound = [camera for name in manifest.cameras for camera in wanted.bindings.get(name, (name,))]
    return tuple(camera for camera in dict.fromkeys(bound) if camera not in set(known))
