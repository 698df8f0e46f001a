"""First process of ``vedette.Alerting``: ``python3 -m alerting``."""

from __future__ import annotations

import sys

from vedette.compose.alerting import AlertingService
from vedette.compose.processes import run_component


def main() -> int:
    """Run until SIGTERM."""
    return run_component(lambda bus, _redaction: AlertingService(bus))


if __name__ == "__main__":
    sys.exit(main())
