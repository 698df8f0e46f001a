"""What a parameter port of Panorama code gives: from a parameter's value to the type of the port."""

from __future__ import annotations

import math
import struct
from typing import Final

from vedette.contracts.manifest import PortType
from vedette.contracts.manifest.parameters import ParameterValue

#: What a port gives.
PortValue = bool | int | float | str

_WHOLE: Final = (-(2**31), 2**31 - 1)
#: What a port of each type gives where nothing is said, as the service had it.
NOTHING: Final[dict[PortType, PortValue]] = {
    PortType.BOOLEAN: False,
    PortType.FLOAT32: 0.0,
    PortType.INT32: 0,
    PortType.STRING: "",
}


def port_value(kind: PortType, value: ParameterValue) -> PortValue:
    """A value as a port of a type gives it. A whole number is one of ``float32`` too.

    Args:
        kind: type of the port.
        value: what the manifest or the deployment says.

    Raises:
        ValueError: not a value of this type; the message says which are.
    """
    match kind:
        case PortType.BOOLEAN if isinstance(value, bool):
            return value
        case PortType.STRING if isinstance(value, str):
            return value
        case PortType.INT32 if isinstance(value, int) and not isinstance(value, bool):
            if _WHOLE[0] <= value <= _WHOLE[1]:
                return value
            raise ValueError(f"a whole number from {_WHOLE[0]} to {_WHOLE[1]}")
        case PortType.FLOAT32 if isinstance(value, int | float) and not isinstance(value, bool):
            return _single(value)
    raise ValueError(_ALLOWED[kind])


_ALLOWED: Final = {
    PortType.BOOLEAN: "true or false",
    PortType.FLOAT32: "a number",
    PortType.INT32: "a whole number",
    PortType.STRING: "text",
}


def _single(value: float) -> float:
    """The nearest number of 32 bits, which is what the code got on an appliance."""
    try:
        (nearest,) = struct.unpack("<f", struct.pack("<f", value))
    except (OverflowError, struct.error):  # struct.error: a whole number that no float holds
        nearest = math.inf
    if not math.isfinite(nearest):
        raise ValueError("a number that 32 bits hold, at most 3.4e38")
    return float(nearest)
