"""An override file: what one deployment put in the place of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vedette.contracts.errors import ConfigurationError
from vedette.core.panorama_import.project import PARAMETER_TYPES, Document, entries, text
from vedette.core.panorama_import.report import Outcome, Row


@dataclass(slots=True)
class Overrides:
    """What was replaced.

    Attributes:
        path: of the file.
        replaced: node → nodes that take its place; several cameras on one input are several.
        values: node → value.
        routes: routing rules, with their places.
        rows: what is to be said.
    """

    path: str
    replaced: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    routes: list[tuple[Mapping[str, Any], str]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def value_of(self, node: str) -> Any:
        """The value that takes a parameter's place; None where nothing does."""
        for name in (*self.replaced.get(node, ()), node):
            if name in self.values:
                return self.values[name]
        return None


def read_overrides(document: Document) -> Overrides:
    """Read an override file.

    Raises:
        ConfigurationError: V102, it is none.
    """
    body = document.value.get("nodeGraphOverrides")
    if not isinstance(body, dict):
        raise ConfigurationError(
            f"{document.path}: `nodeGraphOverrides` is missing, or no object.",
            hint="Name an override file of the project, such as graphs/NAME/override.json.",
            code="V102",
        )
    found = Overrides(document.path)
    for index, entry in entries(body.get("nodeOverrides")):
        names = tuple(text(one.get("name")) for _, one in entries(entry.get("with")) if text(one.get("name")))
        replaced = text(entry.get("replace"))
        if replaced and names:
            found.replaced[replaced] = names
        else:
            place = f"{document.path} nodeGraphOverrides.nodeOverrides.{index}"
            found.rows.append(Row(Outcome.DROPPED, "nodeOverride", "`replace` or `with` is missing", place))
    for _, node in entries(body.get("nodes")):
        if text(node.get("interface")) in PARAMETER_TYPES and "value" in node:
            found.values[text(node.get("name"))] = node["value"]
    for index, rule in entries(body.get("networkRoutingRules")):
        found.routes.append((rule, f"{document.path} nodeGraphOverrides.networkRoutingRules.{index}"))
    return found
