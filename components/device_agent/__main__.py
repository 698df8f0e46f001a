"""First process of ``vedette.DeviceAgent``: ``python3 -m device_agent``."""

from __future__ import annotations

import sys

from vedette.compose.device_agent import DeviceAgent
from vedette.compose.processes import device_name, run_component


def main() -> int:
    """Run until SIGTERM."""
    return run_component(lambda bus, _redaction: DeviceAgent(bus, device_name()))


if __name__ == "__main__":
    sys.exit(main())
