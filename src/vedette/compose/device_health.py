"""The message about the device that the alerting component sends for all components."""

from __future__ import annotations

import time
from pathlib import Path

from vedette import __version__
from vedette.adapters.machine import machine_health
from vedette.adapters.state.files import read_component_status
from vedette.contracts.health import AlertingHealth
from vedette.core.device_health import device_health, fitted


def health_message(alerting: AlertingHealth, directory: Path) -> bytes:
    """``DeviceHealth`` as JSON, small enough for every nucleus.

    Args:
        alerting: of the component that sends it.
        directory: the state directory.
    """
    told = device_health(
        alerting,
        read_component_status(directory),
        version=__version__,
        now_s=time.time(),
        machine=machine_health(directory),
    )
    return fitted(told)
