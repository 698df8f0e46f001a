"""The tables of docs/manifest.md, made from the schema so that they cannot fall behind it."""

from __future__ import annotations

from typing import Any, Final

from vedette.contracts.manifest import SignalBase
from vedette.contracts.schemas import schema

#: Below it stand the tables.
MARKER: Final = "<!-- tables: made by `vedette schema tables` -->\n\n"

#: Heading, definition of the schema, words below the heading.
_SECTIONS: Final = (
    ("The file", "", ""),
    ("`cameras.NAME`", "AbstractCamera", "Which camera of the device it is, is said at deployment."),
    ("`cameras.NAME.ground`", "GroundPlane", "Where the ground is, for rules about distance."),
    ("`models.NAME`", "Model", ""),
    ("`models.NAME.input`", "ModelInput", "Each value becomes `(value / scale - mean) / std`."),
    ("`models.NAME.moving`", "Moving", "How the family `moving` tells objects from the background."),
    ("`models.NAME.tensors`, an entry", "TensorInput", "An input of a model that an application's own code runs."),
    ("`pipelines.NAME`", "Pipeline", ""),
    ("`pipelines.NAME.tiles`", "Tiles", ""),
    ("`pipelines.NAME.motion`", "Motion", ""),
    ("`pipelines.NAME.attributes.NAME`, every type", "AttributeBase", "Besides `type`, which chooses what looks."),
    (
        "`pipelines.NAME.attributes.NAME.colours`",
        "ColourRange",
        "A colour of one's own, in hue, saturation and brightness as a colour picker shows them (HSV). The ranges of "
        "the named ones are in [pipelines.md](pipelines.md).",
    ),
    ("`pipelines.NAME.tracker`", "Tracker", ""),
    ("`rules.NAME`, every type", "RuleBase", "Besides `type`, which chooses one of the tables that follow."),
    ("`rules.NAME.schedule`", "Schedule", "A span that ends before it starts runs over midnight."),
    (
        "`insights.NAME`, every type",
        "InsightBase",
        "Besides `type`; what exactly is counted: [insights.md](insights.md).",
    ),
    ("`evidence`", "Evidence", "Pictures and video of alerts; see [evidence.md](evidence.md)."),
    ("`evidence.clip`", "ClipSettings", ""),
    ("`evidence.upload`", "UploadSettings", ""),
    ("`parameters.NAME`", "Parameter", "Values that may be changed at deployment and while the application runs."),
    ("`hooks.NAME`", "Hook", "The application's own Python; see [hooks.md](hooks.md)."),
    ("`hooks.NAME.network`, an entry as fields", "NetworkPeer", "Where `host:port` is not enough."),
    ("`panorama`", "Panorama", "The code of an AWS Panorama application, unchanged; see [panorama.md](panorama.md)."),
    ("`panorama.parameters.NAME`", "PanoramaParameter", ""),
    ("`panorama.routes`, an entry", "PanoramaRoute", ""),
)

#: Definition that stands for what all members have → definition and field whose entries they are.
_UNIONS: Final = {
    "RuleBase": ("", "rules"),
    "AttributeBase": ("Pipeline", "attributes"),
    "InsightBase": ("", "insights"),
}

_MEANINGS: Final = {
    "channels": "Order of the colours.",
    "name": "Name of the application; its component is `vedette.app.<name>`.",
    "title": "For people.",
    "version": "Version of the application.",
    "cameras": "The application's own names of the cameras it needs.",
    "models": "Detectors.",
    "pipelines": "Which cameras go through which model.",
    "rules": "What raises an alert.",
    "insights": "What is counted and measured, minute by minute.",
    "actions": "Where alerts go; one `file` action called `file` where the section is absent.",
    "parameters": "Values that may be changed without changing this file.",
    "family": "How the model's tensors become boxes.",
    "shape": "Numbers along each axis, such as `[1, 3, 416, 416]`.",
    "TensorInput.type": "Type of the numbers.",
    "environment": "Variables that the code finds.",
    "PanoramaParameter.type": "Type of the value as the code gets it.",
    "PanoramaRoute.title": "For people.",
    "class_agnostic_nms": "Drop overlapping boxes of different classes too.",
    "require": "What must run the model; anything less is reported as DEGRADED.",
    "model": "Name of a model of this file.",
    "Pipeline.cameras": "Names of cameras of this file.",
    "tracker": "How objects are followed from picture to picture.",
    "min_confidence": "Objects below it do not count.",
    "anchor": "The point of a box that is tested against zones and lines.",
    "severity": "How urgent the alert is; `critical` is never evicted from the outbox.",
    "schedule": "When the rule is armed; always where absent.",
    "timezone": "IANA name, such as `Europe/Berlin`.",
    "days": "Days on which a span starts.",
    "direction": "Which way counts, as seen in the picture.",
    "zone": "Corners in order around the zone.",
    "for_s": "How long the condition must hold, in seconds.",
    "above": "More objects than this.",
    "below": "Fewer objects than this.",
    "type": "Chooses the kind.",
    "url": "Address of the receiver, without credentials.",
    "timeout_s": "For the whole request, in seconds.",
    "host": "Name or address of the broker.",
    "port": "Port of the broker.",
    "topic": "Topic without `+` and `#`.",
    "tls": "Encrypt, and check the broker's certificate.",
    "ca_file": "Certificate of the broker's authority, PEM; the system's where absent.",
}


def manifest_tables() -> str:
    """Markdown: one table per part of the manifest."""
    root = schema("manifest")
    definitions = root["$defs"]
    for name in _UNIONS:
        definitions[name] = _common(*_field(root, name))
    lines: list[str] = []
    for heading, name, words in _SECTIONS:
        lines += _table(f"## {heading}", name, definitions[name] if name else root, words)
        if name in _UNIONS:
            for tag, member in _members(*_field(root, name)):
                known = definitions[name]["properties"]
                own = {key: value for key, value in member["properties"].items() if key not in known}
                lines += _table(f"### `type: {tag}`", "", {**member, "properties": own}, member.get("description", ""))
    lines += _actions(root)
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


def _actions(root: dict[str, Any]) -> list[str]:
    """One table per action; what all signals have stands in a table of its own."""
    lines = ["## `actions.NAME`", ""]
    signals: list[str] = []
    shared: dict[str, Any] = {}
    for tag, action in _members(root["properties"]["actions"], root["$defs"]):
        words = action.get("description", "")
        if set(SignalBase.model_fields) <= set(action["properties"]):
            signals.append(f"`{tag}`")
            shared = {key: value for key, value in action["properties"].items() if key in SignalBase.model_fields}
            own = {key: value for key, value in action["properties"].items() if key not in shared}
            action = {**action, "properties": own}
            words += " Times: see [signals](#signals)."
        lines += _table(f"### `type: {tag}` ", "", action, words, skip=("type",))
    words = f"What {', '.join(signals)} have besides: how long a signal lasts, and when it is given."
    return lines + _table("### Signals", "", {"properties": shared}, words)


def fields_without_meaning() -> list[str]:
    """Fields for which neither the schema nor this module has words; must be none."""
    return [line for line in manifest_tables().splitlines() if line.startswith("| `") and line.endswith("|  |")]


def _field(root: dict[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The field that holds the members of a union, and all definitions."""
    owner, field = _UNIONS[name]
    definitions = root["$defs"]
    return (definitions[owner] if owner else root)["properties"][field], definitions


def _members(field: dict[str, Any], definitions: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    by_name = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")][0]
    mapping = by_name["discriminator"]["mapping"]
    return [(tag, definitions[reference.rpartition("/")[2]]) for tag, reference in mapping.items()]


def _common(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    members = [member for _, member in _members(field, definitions)]
    shared = {
        key: value
        for key, value in members[0]["properties"].items()
        if key != "type" and all(member["properties"].get(key) == value for member in members)
    }
    return {"properties": shared | {"type": {"type": "string"}}, "required": ["type"]}


def _table(heading: str, name: str, definition: dict[str, Any], words: str, skip: tuple[str, ...] = ()) -> list[str]:
    lines = [heading, ""]
    if words:
        lines += [" ".join(words.split()).replace("``", "`"), ""]
    required = definition.get("required", ())
    rows = []
    for field, value in definition["properties"].items():
        if field in skip or (field == "type" and name == ""):
            continue
        default = "required" if field in required else _default(value)
        meaning = value.get("description") or _MEANINGS.get(f"{name}.{field}") or _MEANINGS.get(field, "")
        if field == "zone" and field not in required:
            meaning += " The whole picture where absent."
        rows.append(f"| `{field}` | {_kind(value)} | {default} | {meaning} |")
    if not rows:
        return [*lines, "No fields of its own.", ""] if not skip else [*lines, "No fields besides `type`.", ""]
    return [*lines, "| field | value | default | meaning |", "|---|---|---|---|", *rows, ""]


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default is None:
        return "absent"
    if isinstance(default, list) and all(isinstance(entry, int | float) for entry in default):
        return f"`[{', '.join(f'{entry:g}' for entry in default)}]`"
    if isinstance(default, dict | list):
        return ("all" if default else "none") if isinstance(default, list) else "its defaults"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else "empty"


def _kind(value: dict[str, Any]) -> str:
    """Type and limits in words."""
    if options := value.get("anyOf") or value.get("oneOf"):
        kinds = [_kind(option) for option in options if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{option}`" for option in value["enum"])
    if "$ref" in value:
        definition = schema("manifest")["$defs"][value["$ref"].rpartition("/")[2]]
        return _kind(definition) if "enum" in definition else "fields, see below"
    kind = value.get("type")
    if kind == "array":
        return _array(value)
    if kind == "object":
        return "entries by name"
    words = {"string": "text", "number": "number", "integer": "whole number", "boolean": "`true`, `false`"}.get(
        str(kind), str(kind)
    )
    if value.get("format") == "time":
        words = "time of day"
    if "maxLength" in value:
        words += f", at most {value['maxLength']} characters"
    return words + _limits(value)


def _array(value: dict[str, Any]) -> str:
    if "prefixItems" in value:
        inner = value["prefixItems"][0]
        if inner.get("maximum") == 1 and len(value["prefixItems"]) == 2:
            if "title" in value:  # a field of its own; points stand within lists
                return "[from, to], each 0 to 1"
            return "[x, y], each 0 to 1"
        return f"[{', '.join([_kind(inner)] * len(value['prefixItems']))}]"
    return f"list of {_kind(value['items'])}" + (f", at least {value['minItems']}" if value.get("minItems") else "")


def _limits(value: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    if "exclusiveMinimum" in value:
        value = {key: limit for key, limit in value.items() if key != "minimum"}
    limits = [f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value]
    return f" {', '.join(limits)}" if limits else ""
