"""Topic names, topic filters and the ``accessControl`` section of a component's configuration.

A resource in ``accessControl`` may hold ``*`` (any characters, slashes included) and, where the service knows
MQTT wildcards, ``+`` (one level) and ``#`` (the rest). ``${*}``, ``${?}`` and ``${$}`` stand for the bare
character. Nothing listed means nothing allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vedette.contracts.errors import CoreError

PUBSUB_SERVICE: Final = "aws.greengrass.ipc.pubsub"
MQTT_SERVICE: Final = "aws.greengrass.ipc.mqttproxy"
SECRET_SERVICE: Final = "aws.greengrass.SecretManager"  # noqa: S105 (a service name)
MAX_TOPIC_BYTES: Final = 256

_Token = tuple[Literal["text", "star", "plus", "hash"], str]


class TopicError(CoreError):
    """A topic name or topic filter that MQTT does not allow."""

    default_code = "V603"


def check_topic(topic: str) -> str:
    """The topic itself, when one may publish to it.

    Raises:
        TopicError: empty, longer than 256 bytes, with a NUL, or with a wildcard.
    """
    _check_length(topic)
    if "+" in topic or "#" in topic:
        raise TopicError(f"topic {topic!r} holds a wildcard; one publishes to a plain topic.")
    return topic


def check_filter(topic_filter: str) -> str:
    """The filter itself, when it follows MQTT.

    Raises:
        TopicError: ``+`` or ``#`` not alone in its level, ``#`` not at the end, or a bad length.
    """
    _check_length(topic_filter)
    levels = topic_filter.split("/")
    for index, level in enumerate(levels):
        if level == "+" or (level == "#" and index == len(levels) - 1):
            continue
        if "+" in level or "#" in level:
            raise TopicError(f"topic filter {topic_filter!r}: '+' must be a level of its own and '#' the last level.")
    return topic_filter


def _check_length(topic: str) -> None:
    if not topic or len(topic.encode()) > MAX_TOPIC_BYTES or "\x00" in topic:
        raise TopicError(f"topic of {len(topic.encode())} bytes; 1 to {MAX_TOPIC_BYTES} without NUL are allowed.")


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter with ``+`` and ``#`` selects a topic (MQTT 3.1.1, section 4.7)."""
    wanted, found = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(found) or (level != "+" and level != found[index]):
            return False
    return len(wanted) == len(found)


def _tokens(pattern: str, mqtt: bool) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        level_start = at == 0 or pattern[at - 1] == "/"
        level_end = at + 1 == len(pattern) or pattern[at + 1] == "/"
        if pattern[at : at + 2] == "${" and pattern[at + 3 : at + 4] == "}":
            tokens.append(("text", pattern[at + 2]))
            at += 4
            continue
        if char == "*":
            tokens.append(("star", char))
        elif mqtt and char == "+" and level_start and level_end:
            tokens.append(("plus", char))
        elif mqtt and char == "#" and level_start and at + 1 == len(pattern):
            tokens.append(("hash", char))
        else:
            tokens.append(("text", char))
        at += 1
    return tokens


def resource_matches(pattern: str, requested: str, *, mqtt: bool) -> bool:
    """Whether a resource of ``accessControl`` covers what a component asks for.

    A requested filter is covered only when everything it could select is: ``a/#`` covers ``a/+/b``, but
    ``a/+`` does not cover ``a/#``. Runs in O(len(pattern) x len(requested)); nothing backtracks.

    Args:
        pattern: one entry of ``resources``.
        requested: a topic, a topic filter or a secret's name.
        mqtt: whether ``+`` and ``#`` are wildcards in ``pattern``.
    """
    if mqtt and pattern.endswith("/#") and resource_matches(pattern[:-2], requested, mqtt=True):
        return True  # "a/#" includes "a" itself (MQTT 3.1.1, section 4.7.1.2)
    tokens = _tokens(pattern, mqtt)
    alive = {0}
    for char in [*requested, None]:
        stack = list(alive)
        while stack:  # star, plus and hash may also stand for nothing
            state = stack.pop()
            if state < len(tokens) and tokens[state][0] != "text" and state + 1 not in alive:
                alive.add(state + 1)
                stack.append(state + 1)
        if char is None:
            break
        step: set[int] = set()
        for state in alive:
            if state == len(tokens):
                continue
            kind, text = tokens[state]
            if kind == "text" and text == char:
                step.add(state + 1)
            elif kind in ("star", "hash") or (kind == "plus" and char not in "/#"):
                step.add(state)
        alive = step
    return len(tokens) in alive


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy of ``accessControl``."""

    service: str
    operations: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Everything a component may ask for.

    Attributes:
        rules: the policies of all services.
        lite: the matching of nucleus lite, which does not know ``+`` and ``#`` for local topics.
    """

    rules: tuple[Rule, ...] = ()
    lite: bool = False

    def allows(self, service: str, operation: str, resource: str) -> bool:
        """Whether ``operation`` (without the ``aws.greengrass#`` prefix) on ``resource`` is allowed."""
        mqtt = service == MQTT_SERVICE or (service == PUBSUB_SERVICE and not self.lite)
        names = {"*", f"aws.greengrass#{operation}"}
        return any(
            rule.service == service
            and names.intersection(rule.operations)
            and any(resource_matches(pattern, resource, mqtt=mqtt) for pattern in rule.resources)
            for rule in self.rules
        )


def parse_access_control(section: object, *, where: str, lite: bool = False) -> AccessPolicy:
    """Reads ``accessControl``.

    Args:
        section: the value found in the configuration; None where there is none.
        where: the component, for messages.
        lite: imitate nucleus lite's matching.

    Raises:
        CoreError: the section does not have the shape service, policy, operations and resources.
    """
    if section is None:
        return AccessPolicy(lite=lite)
    rules: list[Rule] = []
    for service, policies in _mapping(section, f"{where}: accessControl").items():
        for name, policy in _mapping(policies, f"{where}: accessControl.{service}").items():
            path = f"{where}: accessControl.{service}.{name}"
            body = _mapping(policy, path)
            unknown = set(body) - {"policyDescription", "operations", "resources"}
            if unknown:
                raise CoreError(f"{path}: unknown field {sorted(unknown)[0]!r}.")
            operations, resources = (_strings(body.get(key, []), f"{path}.{key}") for key in _LISTS)
            rules.append(Rule(service, operations, resources))
    return AccessPolicy(tuple(rules), lite)


_LISTS: Final = ("operations", "resources")


def _mapping(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise CoreError(f"{path} must be a mapping, found {type(value).__name__}.")
    return value


def _strings(value: object, path: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CoreError(f"{path} must be a list of strings.")
    return tuple(value)
