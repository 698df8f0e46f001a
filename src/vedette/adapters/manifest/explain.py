"""What pydantic found, in words for the author of the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import available_timezones

from pydantic_core import ErrorDetails

from vedette.contracts.base import IDENTIFIER_PATTERN, Contract
from vedette.contracts.manifest import OpcUaAction
from vedette.contracts.manifest.actions.people import MailAddress, PhoneNumber
from vedette.contracts.manifest.hooks import PEER_PATTERN
from vedette.core.manifest_checks import Finding, near_miss

Path = tuple[str | int, ...]


def pattern_of(kind: Any) -> str:
    """The pattern of a text's type."""
    return next(str(one.pattern) for field in kind.__metadata__ for one in field.metadata if hasattr(one, "pattern"))


def pattern_of_field(contract: type[Contract], name: str) -> str:
    """The pattern of a field's text."""
    return next(str(one.pattern) for one in contract.model_fields[name].metadata if hasattr(one, "pattern"))


_PATTERNS: Final[dict[str, str]] = {
    IDENTIFIER_PATTERN: "letters, digits, - and _, at most 64, a letter or digit first",
    PEER_PATTERN: "`host:port`, such as api.example.org:443",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits in lower case",
    r"^\d+\.\d+\.\d+$": "three numbers, such as 1.0.0",
    r"^[^+#\x00$][^+#\x00]*$": "an MQTT topic without + and #, not starting with $",
    pattern_of(MailAddress): "an address such as name@example.org, nothing around it, ASCII only",
    pattern_of(PhoneNumber): "plus sign, country, number, digits only, such as +4915112345678",
    r"^/dev/[A-Za-z0-9_./:+-]{1,200}$": "a device below /dev, such as /dev/ttyUSB2",
    r"^/dev/gpiochip[0-9]{1,3}$": "a GPIO chip, such as /dev/gpiochip0",
    pattern_of_field(OpcUaAction, "node"): "a node id, such as ns=2;s=Line1.Reject or ns=3;i=1007",
    r"^[A-Za-z0-9-]{1,64}$": "the name of a header, such as X-Api-Key",
}
_TYPES: Final[dict[str, str]] = {
    "string": "text (put it in quotes)",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "fields, `name: value` a line",
    "model": "fields, `name: value` a line",
    "time": 'a time of day, such as "22:00"',
}
_CLOCK: Final = re.compile(r"\d\d:\d\d(:\d\d)?")


@dataclass(frozen=True, slots=True)
class Located:
    """A pydantic error at a path of the file.

    Attributes:
        path: of the file: pydantic's own without the names of the alternatives it tried.
        error: pydantic's.
        parent: what stands at the path before its last part.
    """

    path: Path
    error: ErrorDetails
    parent: Any


def explain(errors: Sequence[ErrorDetails], document: Any, fields: Mapping[str, Any]) -> Iterator[Finding]:
    """One finding per place.

    Args:
        errors: of ``Manifest.model_validate``.
        document: what was validated.
        fields: the JSON Schema of the manifest.
    """
    groups: dict[tuple[Path, bool], list[Located]] = {}
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error.get("ctx", {})["min_length"]:
            continue  # long enough as written; its items have mistakes of their own
        located = _locate(error, document)
        groups.setdefault((located.path, error["loc"][-1:] == ("[key]",)), []).append(located)
    schema = _Schema(fields, document)
    for (path, is_key), group in groups.items():
        yield _one(path, group, schema, is_key=is_key)


def check_clock_times(document: dict[str, Any]) -> Iterator[Finding]:
    """``start: 8`` would be taken for 8 seconds past midnight."""
    rules = document.get("rules")
    for name, rule in rules.items() if isinstance(rules, dict) else ():
        schedule = rule.get("schedule") if isinstance(rule, dict) else None
        if not isinstance(schedule, dict):
            continue
        for key in ("start", "end"):
            value = schedule.get(key, "00:00")
            if not (isinstance(value, str) and _CLOCK.fullmatch(value)):
                yield Finding(("rules", name, "schedule", key), f"found {shown(value)}", _TYPES["time"])


def shown(value: Any) -> str:
    """A value as it may be shown: short, with its kind where it could be mistaken."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"fields ({', '.join(map(str, list(value)[:4]))})" if value else "an empty set of fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} …"


def has(container: Any, part: str | int) -> bool:
    """Whether a mapping or list, if it is one, has an entry at ``part``."""
    if isinstance(container, dict):
        return part in container
    return isinstance(container, list) and isinstance(part, int) and part < len(container)


def _locate(error: ErrorDetails, document: Any) -> Located:
    """Follow pydantic's location through the document; what is not in it names an alternative, not a place."""
    path: list[str | int] = []
    here: Any = document
    parent: Any = None
    location = error["loc"]
    if location and location[-1] == "[key]":
        location = location[:-1]
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if has(here, part):
            parent, here = here, here[part]
        elif last and error["type"] == "missing":
            parent = here
        else:
            continue
        path.append(part)
    return Located(tuple(path), error, parent)


def _one(path: Path, group: list[Located], schema: _Schema, *, is_key: bool) -> Finding:
    located = group[0]
    error = located.error
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        known = list(schema.at(path[:-1]).get("properties", ()))
        return Finding(path, f"unknown field {path[-1]!r}", ", ".join(known), near_miss(str(path[-1]), known))
    if kind == "missing" and isinstance(path[-1], int):
        return Finding(
            path[:-1], f"found {shown(located.parent)}", f"a list of {schema.at(path[:-1]).get('minItems', 2)}"
        )
    if kind == "missing":
        return Finding(path, f"field `{path[-1]}` is missing", _help(schema.at(path)))
    if kind == "union_tag_not_found":
        return Finding(
            path, "field `type` is missing", ", ".join(schema.at(path).get("discriminator", {}).get("mapping", ()))
        )
    if kind == "union_tag_invalid":
        allowed = context["expected_tags"].replace("'", "")
        return Finding(
            (*path, "type"),
            f"found {shown(context['tag'])}",
            allowed,
            near_miss(str(context["tag"]), allowed.split(", ")),
        )
    if len(group) > 1 or kind in ("literal_error", "enum"):
        return _alternatives(path, group)
    if path[-1:] == ("timezone",) and kind == "value_error":
        zones = available_timezones()
        near = near_miss(str(value), zones) or near_miss(str(value), {zone.rpartition("/")[2] for zone in zones})
        near = next((f"`{zone}`" for zone in sorted(zones) if zone.endswith(f"/{near.strip('`')}")), near)
        return Finding(path, f"found {shown(value)}", "an IANA time zone such as Europe/Berlin", near)
    if kind == "value_error":
        return Finding(path, error["msg"].removeprefix("Value error, "))
    message, allowed, suggestion = _plain(kind, context, value, path, is_key=is_key)
    return Finding(path, message, allowed, suggestion)


def _alternatives(path: Path, group: list[Located]) -> Finding:
    """A value that fits none of several types: all of them are said."""
    allowed: list[str] = []
    for located in group:
        kind, context = located.error["type"], located.error.get("ctx", {})
        if kind in ("literal_error", "enum"):
            quoted = re.findall(r"'([^']*)'", context["expected"])
            allowed += quoted or [context["expected"]]
        else:
            allowed.append(_plain(kind, context, located.error["input"], path)[1] or located.error["msg"])
    value = group[0].error["input"]
    choices = list(dict.fromkeys(allowed))
    return Finding(path, f"found {shown(value)}", ", ".join(choices), near_miss(str(value), choices))


def _plain(
    kind: str, context: Mapping[str, Any], value: Any, path: Path, *, is_key: bool = False
) -> tuple[str, str, str]:
    """Message, what is allowed, suggestion."""
    found = f"found {shown(value)}"
    if kind == "string_pattern_mismatch":
        allowed = _PATTERNS.get(context["pattern"], f"text like {context['pattern']}")
        better = re.sub(r"[^A-Za-z0-9_-]+", "-", str(value)).strip("-_")[:64]
        is_name = context["pattern"] == IDENTIFIER_PATTERN and better
        if context["pattern"] == pattern_of(PhoneNumber):
            return found, allowed, _phone(str(value))
        return f"name {shown(value)}" if is_key else found, allowed, f"`{better}`" if is_name else ""
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        limit = f"{words} {context[key]:g}"
        if path[0] == "rules" and path[-1] in (0, 1) and len(path) == 5:
            return found, f"0 to 1, a share of the picture's {_pixels(value, path)}", ""
        return found, limit, ""
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        limit = context["min_length" if least else "max_length"]
        pair = path[0] == "rules" and limit == 2
        number = f"exactly {limit}" if pair else f"{'at least' if least else 'at most'} {limit}"
        return f"{found}" if not isinstance(value, dict) else "found none", number, ""
    if kind in ("string_too_long", "string_too_short"):
        words = f"at most {context['max_length']}" if "max_length" in context else f"at least {context['min_length']}"
        return f"found {len(value)} characters", f"{words} characters", ""
    if kind == "finite_number":
        return found, "a finite number", ""
    if kind == "missing":
        return "an entry is missing", "", ""
    for name, words in _TYPES.items():
        if kind.startswith(f"{name}_"):
            return found, words, ""
    return found, kind.replace("_", " "), ""


_LIMITS: Final[dict[str, tuple[str, str]]] = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _phone(value: str) -> str:
    """A number as people write it, in the form that is wanted; empty where the country cannot be told."""
    digits = re.sub(r"\(0\)|[\s()/.-]", "", value)
    digits = f"+{digits[2:]}" if digits.startswith("00") else digits
    return f"`{digits}`" if re.fullmatch(pattern_of(PhoneNumber), digits) else ""


def _pixels(value: Any, path: Path) -> str:
    side = "height" if path[-1] else "width"
    if isinstance(value, int | float) and value >= 2:
        return f"{side}; {value:g} looks like pixels: divide it by the {side}"
    return side


# --- what the schema knows -------------------------------------------------------------------------------------------


class _Schema:
    """The JSON Schema of a manifest, walked along a document, whose ``type`` fields choose among alternatives."""

    def __init__(self, fields: Mapping[str, Any], document: Any) -> None:
        self._fields = fields
        self._document = document

    def at(self, path: Path) -> dict[str, Any]:
        """The schema of a path; empty where there is none."""
        schema, here = dict(self._fields), self._document
        for part in path:
            schema = self._choose(schema, here)
            here = here[part] if has(here, part) else None
            if isinstance(part, int):
                items = schema.get("prefixItems", [schema.get("items")])
                inner = items[part] if part < len(items) else items[-1]
            elif part in schema.get("properties", {}):
                inner = schema["properties"][part]
            else:
                inner = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
            schema = inner if isinstance(inner, dict) else {}
        return self._choose(schema, here)

    def _choose(self, schema: dict[str, Any], here: Any) -> dict[str, Any]:
        if "discriminator" in schema:
            tag = here.get("type") if isinstance(here, dict) else None
            reference = schema["discriminator"]["mapping"].get(tag) if isinstance(tag, str) else None
            return self._resolve({"$ref": reference}) if reference else schema
        schema = self._resolve(schema)
        for alternative in schema.get("anyOf", schema.get("oneOf", ())):
            if (resolved := self._resolve(alternative)).get("type") in ("object", "array"):
                return resolved
        return schema

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._fields["$defs"][schema["$ref"].rpartition("/")[2]]
        return schema


def _help(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    described = str(schema.get("description", "")).partition("\n")[0].rstrip(".")
    kinds = {"string": "text", "number": "a number", "integer": "a whole number", "array": "a list"}
    return described or kinds.get(schema.get("type", ""), "")
