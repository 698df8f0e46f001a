"""YAML as recipes need it: plain JSON values, no aliases, no repeated keys."""

from __future__ import annotations

from typing import Any, Final

import yaml


class RecipeSyntaxError(yaml.YAMLError):
    """Valid YAML that a recipe must not use."""


_ALLOWED_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))


#: Recipes of AWS go seven levels deep; the reader calls itself for each.
_DEPTH_LIMIT: Final = 50


class _RecipeComposer:
    """Refuses aliases (a few bytes of them can stand for gigabytes), keys that appear twice, and depths without end."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        line = self.peek_event().start_mark.line + 1  # type: ignore[attr-defined]
        if self.check_event(yaml.AliasEvent):  # type: ignore[attr-defined]
            raise RecipeSyntaxError(f"line {line}: aliases are not allowed in a recipe.")
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise RecipeSyntaxError(f"line {line}: more than {_DEPTH_LIMIT} levels within one another.")
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[misc]
        self._depth -= 1
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise RecipeSyntaxError(f"line {line}: a key must be a plain text.")
                if key.value in seen:
                    raise RecipeSyntaxError(f"line {line}: key {key.value!r} is given twice.")
                seen.add(key.value)
        return node


class _PlainLoader(_RecipeComposer, yaml.SafeLoader):
    """JSON types only."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.tag not in _ALLOWED_TAGS:
            line = node.start_mark.line + 1
            kind = node.tag.rsplit(":", 1)[-1]
            raise RecipeSyntaxError(f"line {line}: {node.value!r} reads as a {kind}; put it in quotes.")
        return super().construct_object(node, deep)


class _TextLoader(_RecipeComposer, yaml.BaseLoader):
    """Every scalar is the text it was written as."""


def load_plain(text: str) -> Any:
    """The document with the types YAML gives it.

    Raises:
        yaml.YAMLError: no valid YAML, or one of the things a recipe must not use.
    """
    return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 (a subclass of SafeLoader)


def load_texts(text: str) -> Any:
    """The document with every scalar a string, as nucleus lite reads ``DefaultConfiguration``.

    Raises:
        yaml.YAMLError: as ``load_plain``.
    """
    return yaml.load(text, Loader=_TextLoader)  # noqa: S506 (BaseLoader builds nothing but texts)
