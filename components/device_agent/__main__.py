"""First process of ``vedette.DeviceAgent``: ``python3 -m device_agent``."""

from __future__ import annotations

import os
import socket
import sys

from vedette.compose.device_agent import DeviceAgent
from vedette.compose.processes import run_component


def main() -> int:
    """Run until SIGTERM."""
    thing = os.environ.get("AWS_IOT_THING_NAME") or socket.gethostname()
    return run_component(lambda bus, _redaction: DeviceAgent(bus, thing))


if __name__ == "__main__":
    sys.exit(main())
