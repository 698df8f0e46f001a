"""Signals: values that can be written, times that can be kept, outputs that have one master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vedette.contracts.manifest import ModbusAction, SignalBase
from vedette.core.manifest_checks.finding import Finding, Path
from vedette.core.manifest_checks.plain import dicts, is_given, number, texts

_LATE_S: Final = 0.25
#: Least and greatest number of 16 and of 32 bits, with or without a sign.
_RANGES: Final = {16: (-(1 << 15), (1 << 16) - 1), 32: (-(1 << 31), (1 << 32) - 1)}
#: Rules whose alert is about an earlier picture: they wait for `hold_s` before they are sure.
_WAITING: Final = frozenset({"line_crossed", "zone_entered", "zone_left", "count_changed"})
#: What names an output, by type of action.
_OUTPUT: Final = {
    "modbus": ("host", "port", "unit", "write", "address"),
    "opcua": ("endpoint", "node"),
    "gpio": ("chip", "line", "line_name"),
}
_DEFAULTS: Final = {"port": 502, "unit": 1}


def check_signal(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    """Fields that say nothing without another."""
    if is_given(SignalBase, action, "late_s") and action.get("after_s") is None:
        yield Finding((*path, "late_s"), "`late_s` without `after_s`", "`after_s` beside it; 0 is the picture itself")
    for field in ("overlap", "gap_s"):
        if is_given(SignalBase, action, field) and action.get("pulse_s") is None:
            yield Finding((*path, field), f"`{field}` without `pulse_s`", "`pulse_s` beside it")
    if (
        is_given(SignalBase, action, "gap_s")
        and action.get("pulse_s") is not None
        and action.get("overlap", "stay_on") == "stay_on"
    ):
        yield Finding((*path, "gap_s"), "`gap_s` without `overlap: again`", "`overlap: again` beside it")


def check_modbus(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    """A value that fits what is written."""
    value, bits = action.get("value"), action.get("bits", 16)
    if action.get("write") == "coil":
        if value not in (None, 0, 1):
            yield Finding((*path, "value"), f"a coil cannot hold {value!r}", "true or false")
        for field in ("bits", "word_order"):
            if is_given(ModbusAction, action, field):
                yield Finding((*path, field), f"`{field}` of a coil", "only with `write: register`")
    elif action.get("write") == "register":
        yield from _register(path, action, value, bits)
    if action.get("pulse_s") is not None and value is not None and not value:
        yield Finding((*path, "value"), "a pulse of the value at rest changes nothing", "another value than 0")


def _register(path: Path, action: dict[str, Any], value: Any, bits: Any) -> Iterator[Finding]:
    if value is None:
        yield Finding((*path, "value"), "field `value` is missing", "the whole number to write")
    elif isinstance(value, bool):
        yield Finding((*path, "value"), f"found {str(value).lower()}", "a whole number; true and false are for coils")
    elif isinstance(value, int) and isinstance(bits, int) and bits in _RANGES:
        least, greatest = _RANGES[bits]
        if not least <= value <= greatest:
            wider = "`bits: 32`" if bits == 16 and _RANGES[32][0] <= value <= _RANGES[32][1] else ""
            yield Finding((*path, "value"), f"{value} does not fit {bits} bits", f"{least} to {greatest}", wider)
    if is_given(ModbusAction, action, "word_order") and bits != 32:
        yield Finding((*path, "word_order"), "`word_order` of a single register", "`bits: 32` beside it")
    if bits == 32 and action.get("address") == 65535:
        yield Finding((*path, "address"), "32 bits do not fit behind 65535", "0 to 65534 with `bits: 32`")


def check_moments(document: dict[str, Any]) -> Iterator[Finding]:
    """No rule is surer later than its signal is due."""
    actions = dicts(document, "actions")
    for name, rule in dicts(document, "rules").items():
        hold_s = number(rule.get("hold_s")) or 0.0
        if str(rule.get("type")) not in _WAITING or not hold_s:
            continue
        for key in texts(rule["actions"]) if isinstance(rule.get("actions"), list) else tuple(actions):
            action = actions.get(key, {})
            after_s, late_s = number(action.get("after_s")), number(action.get("late_s", _LATE_S)) or 0.0
            if after_s is not None and hold_s >= after_s + late_s:
                yield Finding(
                    ("rules", name, "hold_s"),
                    f"the rule is sure {hold_s:g} s after the picture; the signal {key!r} is due after {after_s:g} s",
                    f"`hold_s` well below {after_s + late_s:g}, or a longer `after_s`",
                )


def check_shared_outputs(document: dict[str, Any]) -> Iterator[Finding]:
    """Warnings: two actions that switch the same output undo each other's pulses."""
    owners: dict[tuple[str, ...], str] = {}
    for name, action in dicts(document, "actions").items():
        fields = _OUTPUT.get(str(action.get("type")))
        if fields is None:
            continue
        output = tuple(str(action.get(field, _DEFAULTS.get(field))) for field in fields)
        owner = owners.setdefault((str(action["type"]), *output), name)
        if owner != name:
            yield Finding(
                ("actions", name),
                f"it switches the same output as {owner!r}: each puts the other's pulse at rest",
                "one action for an output; rules may share it",
                level="warning",
            )
