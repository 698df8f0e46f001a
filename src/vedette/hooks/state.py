"""The state of a hook: plain JSON, so that it comes back from the disk as it was."""

from __future__ import annotations

import json
import math
from typing import Any, Final

MAX_STATE_BYTES: Final = 64 << 10
MAX_STATE_DEPTH: Final = 32


def dump_state(state: Any) -> str:
    """Compact JSON of a state.

    Raises:
        ValueError: it is no dictionary of plain JSON, or too large.
    """
    if type(state) is not dict:
        raise ValueError(f"app.state is a {type(state).__name__}; it must be a dictionary")
    _check_plain(state, "app.state", 0)
    text = json.dumps(state, separators=(",", ":"))
    if len(text) > MAX_STATE_BYTES:
        raise ValueError(f"app.state has {len(text)} bytes as JSON; at most {MAX_STATE_BYTES} are allowed")
    return text


def _check_plain(value: object, where: str, depth: int) -> None:
    """Refuse what would come back from JSON as something else."""
    if depth > MAX_STATE_DEPTH:
        raise ValueError(f"{where[:200]} is nested more than {MAX_STATE_DEPTH} deep")
    if value is None or type(value) in (bool, str, int):
        return
    if type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value!r}; JSON has no such number")
    elif type(value) is list:
        for index, entry in enumerate(value):
            _check_plain(entry, f"{where}[{index}]", depth + 1)
    elif type(value) is dict:
        for key, entry in value.items():
            if type(key) is not str:
                raise ValueError(f"{where} has the key {key!r}; keys of JSON are text")
            _check_plain(entry, f"{where}[{key!r}]", depth + 1)
    else:
        raise ValueError(
            f"{where} is a {type(value).__name__}; JSON has text, numbers, true, false, None, lists and dictionaries"
        )
