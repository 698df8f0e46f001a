"""Documents without addresses and credentials, for people who are to see how a device is and nothing else. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vedette.core.redact import MASK, redact

_SECRET_NAME: Final = re.compile(
    r"(?i)(pass(word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|credential|auth)"
)
_URL: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,15})://[^\s\"'<>]*")
#: Files that a person may know by their name, and nobody else can reach.
_SHOWN: Final = frozenset({"file", "s3"})
_DEEPEST: Final = 32


def scrub(value: Any, secrets: Iterable[str] = ()) -> Any:
    """The same JSON without credentials and without the addresses in it.

    Args:
        value: JSON.
        secrets: values known to be secret, removed wherever they stand.
    """
    return _scrub(value, tuple(secrets), 0)


def scrub_text(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without credentials and without the addresses in it: of each only the scheme stays."""
    return _URL.sub(_hidden, redact(text, secrets))


def _hidden(found: re.Match[str]) -> str:
    return found[0] if found[1].lower() in _SHOWN else f"{found[1]}://{MASK}"


def _scrub(value: Any, secrets: tuple[str, ...], depth: int) -> Any:
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, str):
        return scrub_text(value, secrets)
    if isinstance(value, Mapping):
        return {
            scrub_text(str(key), secrets): MASK
            if _SECRET_NAME.search(str(key)) and not isinstance(inner, bool | None)
            else _scrub(inner, secrets, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_scrub(inner, secrets, depth + 1) for inner in value]
    if isinstance(value, bool | None):
        return value
    return MASK if str(value) in secrets else value
