"""Parameters: every place they set exists, may be set and holds one value; limits and defaults agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from vedette.contracts.manifest.parameters import ParameterValue
from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.kinds import (
    Kind,
    KindName,
    ValueRefusedError,
    both,
    kind_of_list,
    kind_of_schema,
    kind_of_value,
    shown,
)
from vedette.core.manifest_checks.places import NoPlace, Place, alternatives, find_place
from vedette.core.manifest_checks.plain import dicts, some, texts

#: Section → fields below a name that parameters may set; ``*`` stands for a name. Left out is what says which thing it
#: is (names, types, files, cameras), where in the picture it is, and what guards the device (secrets, certificates,
#: files that are written).
TUNABLE: Final[Mapping[str, frozenset[str]]] = {
    "rules": frozenset(
        {
            *("for_s", "hold_s", "cooldown_s", "min_confidence", "above", "below", "severity", "title", "actions"),
            *("schedule.timezone", "schedule.days", "schedule.start", "schedule.end"),
            *("labels", "direction", "hysteresis", "within_m", "min_speed_mps", "reads", "again_s"),
        }
    ),
    "pipelines": frozenset(
        {
            *("fps", "labels", "tracker.high_confidence", "tracker.low_confidence", "tracker.min_hits"),
            *("tracker.lost_s", "tracker.match_iou", "tracker.class_agnostic"),
            *("motion.floor_s", "motion.threshold", "motion.min_area"),
            *("attributes.*.min_confidence", "attributes.*.every_s"),
        }
    ),
    "models": frozenset({"min_confidence", "nms_iou", "class_agnostic_nms"}),
    "actions": frozenset({"url", "host", "port", "topic", "timeout_s", "pulse_s", "after_s", "late_s"}),
    "insights": frozenset({"title", "labels", "min_confidence", "min_people", "hysteresis", "min_wait_s"}),
}
_NAME_DEPTH: Final = 2


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A parameter without mistakes.

    Attributes:
        name: of the parameter.
        title: for people.
        places: that it sets; none where it is for custom code.
        kind: what values are allowed.
        default: the value that stands in the manifest.
    """

    name: str
    title: str
    places: tuple[tuple[str, ...], ...]
    kind: Kind
    default: ParameterValue


def check_parameters(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything that is wrong with the parameters of a manifest."""
    for outcome in _resolved(document).values():
        if not isinstance(outcome, ParameterSpec):
            yield from outcome


def parameter_specs(document: Mapping[str, Any]) -> dict[str, ParameterSpec]:
    """The parameters of a manifest, by name; those with mistakes are left out."""
    return {name: each for name, each in _resolved(document).items() if isinstance(each, ParameterSpec)}


def _resolved(document: Mapping[str, Any]) -> dict[str, ParameterSpec | list[Finding]]:
    found: dict[str, ParameterSpec | list[Finding]] = {}
    owners: dict[str, str] = {}
    for name, entry in dicts(dict(document), "parameters").items():
        findings: list[Finding] = []
        spec = _spec(document, name, entry, findings)
        for index, text in enumerate(texts(entry.get("sets"))):
            if text in owners:
                message = f"{text} is set by parameter {owners[text]!r} already"
                findings.append(Finding(("parameters", name, "sets", index), message, "each place once"))
            owners.setdefault(text, name)
        found[name] = findings if findings or spec is None else spec
    return found


def _spec(
    document: Mapping[str, Any], name: str, entry: dict[str, Any], findings: list[Finding]
) -> ParameterSpec | None:
    """Collects what is wrong in ``findings``; None where there is something, or the types report it."""
    where: Path = ("parameters", name)
    title = entry.get("title", "")
    if entry.get("sets", []) != []:
        if not isinstance(entry["sets"], list) or not all(isinstance(text, str) for text in entry["sets"]):
            return None
        places = _places(document, where, entry["sets"], findings)
        if entry.get("default") is not None:
            text = "`default` is for parameters without `sets`; here it is what stands at the place"
            findings.append(Finding((*where, "default"), text, "no `default` beside `sets`"))
        if len(places) < len(entry["sets"]):
            return None
        kind, default = _common(where, entry["sets"], places, findings)
    else:
        places = []
        default = entry.get("default")
        if default is None:
            text = "it sets no place and has no `default`"
            findings.append(Finding(where, text, "`sets: [rules.NAME.for_s]`, or `default` where custom code reads it"))
            return None
        kind = kind_of_value(default)
    if kind is None or findings:
        return None
    narrowed = _narrowed(where, entry, kind, findings)
    if narrowed is None:
        return None
    try:
        value = narrowed.read(default)
    except ValueRefusedError as error:
        place = (*where, "default") if not places else places[0].path
        findings.append(Finding(place, f"{error.found} as the default of parameter {name!r}", error.allowed))
        return None
    return ParameterSpec(
        name, title if isinstance(title, str) else "", tuple(place.path for place in places), narrowed, value
    )


def _places(document: Mapping[str, Any], where: Path, sets: list[str], findings: list[Finding]) -> list[Place]:
    """The places that exist and may be set."""
    places: list[Place] = []
    for index, text in enumerate(sets):
        at: Path = (*where, "sets", index)
        path = tuple(text.split("."))
        allowed = TUNABLE.get(path[0])
        found = find_place(document, path)
        if isinstance(found, NoPlace):
            here = ".".join(found.path) or "the manifest"
            depth = len(found.path)
            known = found.known
            if depth == 0:
                known = tuple(TUNABLE)
            elif depth == _NAME_DEPTH and allowed is not None:
                known = _tunable_here(document, path)
            near = near_miss(found.part, known).strip("`")
            better = ".".join((*found.path, near, *path[depth + 1 :])) if near else ""
            message = f"{text}: there is no {found.part!r} in {here}"
            findings.append(Finding(at, message, some(known), f"`{better}`" if better else ""))
        elif allowed is None or not any(_fits(path[_NAME_DEPTH:], pattern) for pattern in allowed):
            known = _tunable_here(document, path) if allowed is not None else tuple(TUNABLE)
            findings.append(Finding(at, f"{text} cannot be set by a parameter", some(known, 20)))
        elif found.value is None:
            text = f"{text}: nothing stands there, so the parameter would have no default"
            findings.append(Finding(at, text, "a place where a value stands"))
        else:
            places.append(found)
    return places


def _tunable_here(document: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """What parameters may set of the rule, pipeline or the like in which a path lies."""
    found: list[str] = []
    for pattern in sorted(TUNABLE[path[0]]):
        group, star, field = pattern.partition(".*.")
        holder = find_place(document, (*path[:_NAME_DEPTH], group)) if star else None
        names = holder.value if isinstance(holder, Place) and isinstance(holder.value, dict) else {}
        found += [f"{group}.{name}.{field}" for name in names] if star else [pattern]
    return tuple(
        name for name in found if isinstance(find_place(document, (*path[:_NAME_DEPTH], *name.split("."))), Place)
    )


def _fits(field: tuple[str, ...], pattern: str) -> bool:
    parts = pattern.split(".")
    return len(parts) == len(field) and all(p in ("*", f) for p, f in zip(parts, field, strict=True))


def _common(where: Path, sets: list[str], places: list[Place], findings: list[Finding]) -> tuple[Kind | None, Any]:
    """What all places allow, and the value that stands at all of them."""
    kind: Kind | None = None
    default: Any = None
    for index, place in enumerate(places):
        own = _kind(place)
        if own is None:
            return None, None  # the place has the wrong type, which the types report
        try:
            value = own.read(place.value)
        except ValueRefusedError:
            return None, None
        if index == 0:
            kind, default = own, value
        elif kind is not None:
            joined = both(kind, own)
            if joined is None:
                text = f"{sets[index]} takes {own.allowed}, {sets[0]} takes {kind.allowed}"
                findings.append(Finding((*where, "sets", index), text, "places of one kind"))
                return None, None
            kind = joined
            if value != default:
                text = f"{sets[index]} is {shown(place.value)}, {sets[0]} is {shown(places[0].value)}"
                findings.append(Finding((*where, "sets", index), text, "places that hold the same value"))
    return kind, default


def _kind(place: Place) -> Kind | None:
    lists = [schema for schema in place.schemas if schema.get("type") == "array" and "items" in schema]
    if len(lists) == 1 and len(place.schemas) == 1:
        inner = kind_of_schema(tuple(alternatives(lists[0]["items"])))
        return None if inner is None else kind_of_list(inner, lists[0].get("minItems", 0))
    return kind_of_schema(place.schemas)


def _narrowed(where: Path, entry: dict[str, Any], kind: Kind, findings: list[Finding]) -> Kind | None:
    """The kind inside the parameter's own ``min``, ``max`` and ``choices``; None where they make no sense."""
    limits: dict[str, float] = {}
    for key in ("min", "max"):
        value = entry.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if not kind.is_number:
            findings.append(Finding((*where, key), f"`{key}` makes no sense for {kind.name}", "`choices`, or no limit"))
            continue
        try:
            replace(kind, name=KindName.NUMBER).read(value)
        except ValueRefusedError as error:
            findings.append(Finding((*where, key), f"{error.found}, outside of what the place allows", error.allowed))
            continue
        limits[key] = float(value)
    if limits.get("min", float("-inf")) > limits.get("max", float("inf")):
        findings.append(
            Finding((*where, "max"), f"max {limits['max']:g} is below min {limits['min']:g}", "min at most max")
        )
    if findings:
        return None
    if "min" in limits:
        kind = replace(kind, least=limits["min"], above=None)
    if "max" in limits:
        kind = replace(kind, most=limits["max"], below=None)
    return _with_choices(where, entry, kind, findings)


def _with_choices(where: Path, entry: dict[str, Any], kind: Kind, findings: list[Finding]) -> Kind | None:
    choices = entry.get("choices")
    if not isinstance(choices, list) or not choices:
        return kind
    read: list[ParameterValue] = []
    for index, choice in enumerate(choices):
        try:
            read.append(kind.read(choice))
        except ValueRefusedError as error:
            at = (*where, "choices", index)
            findings.append(Finding(at, error.found, error.allowed, error.suggestion))
    return None if findings else replace(kind, choices=tuple(read))
