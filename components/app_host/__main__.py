"""First process of ``vedette.AppHost``: ``python3 -m app_host``."""

from __future__ import annotations

import sys

from vedette.compose.app_host import AppHostService
from vedette.compose.processes import run_component


def main() -> int:
    """Run until SIGTERM."""
    return run_component(lambda bus, _redaction: AppHostService(bus))


if __name__ == "__main__":
    sys.exit(main())
