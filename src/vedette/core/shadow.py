"""How AWS IoT's shadows merge and compare, and how much fits into one. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vedette.contracts.device_document import MAX_DESIRED_BYTES
from vedette.contracts.errors import CloudError


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the one of the other where objects are merged and null takes a key away."""
    patch: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := merge_patch(old, value):
                patch[key] = inner
        elif key not in before or old != value or type(old) is not type(value):
            patch[key] = value
    return patch


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The document with a patch: objects are merged, null takes a key away, everything else is replaced."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            inner = merged(old if isinstance(old, dict) else {}, value)
            if inner or not value:
                result[key] = inner
            else:
                result.pop(key, None)
        else:
            result[key] = value
    return result


def check_room(desired: Mapping[str, Any]) -> int:
    """Bytes that are left for more.

    Raises:
        CloudError: V013, it is too large.
    """
    size = len(compact(desired))
    if size > MAX_DESIRED_BYTES:
        largest = max(desired, key=lambda name: len(compact(desired[name])))
        raise CloudError(
            f"the device's document would take {size:,} bytes; {MAX_DESIRED_BYTES:,} are allowed.",
            hint=f"Most of it are its {largest}: take away what is not used, or put what all devices of a ring share "
            "into the deployment.",
            code="V013",
        )
    return MAX_DESIRED_BYTES - size


def delta_bytes(desired: Mapping[str, Any]) -> int:
    """About how long the message is by which a device hears of it: AWS adds a time to every value."""
    whole = {"version": 1_000_000, "timestamp": 1_800_000_000, "state": desired, "metadata": stamped(desired)}
    return len(compact(whole))


def stamped(value: Any, at_s: int = 1_800_000_000) -> Any:
    """What AWS adds: the time of each value, in the value's place."""
    if isinstance(value, dict):
        return {key: stamped(inner, at_s) for key, inner in value.items()}
    if isinstance(value, list):
        return [stamped(inner, at_s) for inner in value]
    return {"timestamp": at_s}


def compact(value: Any) -> bytes:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def difference(desired: Mapping[str, Any], reported: Mapping[str, Any]) -> dict[str, Any]:
    """What ``update/delta`` carries: of ``desired`` what ``reported`` lacks or has otherwise."""
    found: dict[str, Any] = {}
    for key, value in desired.items():
        told = reported.get(key)
        if isinstance(value, dict) and isinstance(told, dict):
            if inner := difference(value, told):
                found[key] = inner
        elif key not in reported or told != value or type(told) is not type(value):
            found[key] = value
    return found
