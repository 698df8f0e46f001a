"""Bodies of requests with a closed set of placeholders, such as ``{text}``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: What may be filled in.
PLACEHOLDERS: Final = ("to", "text", "alert_id", "severity")
_ANY: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill(template: Any, values: Mapping[str, str]) -> Any:
    """The template (texts, numbers, lists, fields) with every placeholder in a text replaced; keys stay as they are."""
    if isinstance(template, str):
        return _ANY.sub(lambda found: values.get(found[1], found[0]), template)
    if isinstance(template, Mapping):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [fill(value, values) for value in template]
    return template


def placeholders(template: Any) -> Iterator[str]:
    """Every word in braces, known or not."""
    if isinstance(template, str):
        yield from _ANY.findall(template)
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from placeholders(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from placeholders(value)
