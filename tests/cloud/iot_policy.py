"""Evaluates policies as AWS does: variables filled in, ``*`` and ``?`` as wildcards, everything else literal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REGION = "eu-central-1"
ACCOUNT = "123456789012"
THING_VARIABLES = ("${iot:Connection.Thing.ThingName}", "${credentials-iot:ThingName}")


def resolved(value: Any) -> Any:
    """CloudFormation's joins and references as text; other stacks' exports as ``<export>``."""
    if isinstance(value, list):
        return [resolved(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::Join"}:
        glue, parts = value["Fn::Join"]
        return glue.join(str(resolved(part)) for part in parts)
    if set(value) == {"Fn::Sub"}:
        return str(value["Fn::Sub"]).replace("${AWS::Region}", REGION).replace("${AWS::AccountId}", ACCOUNT)
    if set(value) == {"Ref"}:
        return {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT}.get(value["Ref"], f"<{value['Ref']}>")
    if set(value) == {"Fn::ImportValue"}:
        found = re.search(r"FnGetAtt([A-Za-z]+?)[0-9A-F]{8}Arn", str(resolved(value["Fn::ImportValue"])))
        return f"arn:import:{found[1].lower()}" if found else str(value)
    if set(value) == {"Fn::GetAtt"}:
        return f"<{value['Fn::GetAtt'][0]}>"
    return {key: resolved(one) for key, one in value.items()}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern of a policy is the text's."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text) is not None


def allows(
    statements: list[dict[str, Any]],
    action: str,
    resource: str,
    *,
    thing: str,
    context: Mapping[str, str] | None = None,
) -> bool:
    """Whether statements allow an action of this thing. A variable never widens: what it holds is literal text."""
    given = dict(context or {})
    for statement in statements:
        assert statement["Effect"] == "Allow"
        if not any(matches(one, action) for one in as_list(statement["Action"])):
            continue
        if not _conditions_hold(statement.get("Condition", {}), given, thing):
            continue
        if any(_resource_matches(one, resource, thing) for one in as_list(statement["Resource"])):
            return True
    return False


def _resource_matches(pattern: str, resource: str, thing: str) -> bool:
    parts = re.split(r"(\$\{[^}]*\})", pattern)
    expression = ""
    for part in parts:
        if part in THING_VARIABLES:
            expression += re.escape(thing)
        else:
            assert not part.startswith("${"), f"unknown variable {part}"
            expression += "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in part)
    return re.fullmatch(expression, resource) is not None


def _conditions_hold(conditions: Mapping[str, Any], given: Mapping[str, str], thing: str) -> bool:
    for operator, keys in conditions.items():
        assert operator in {"StringEquals", "Bool", "ArnEquals"}, operator
        for key, values in keys.items():
            allowed = [thing if value in THING_VARIABLES else value for value in as_list(values)]
            if given.get(key) not in allowed:
                return False
    return True
