"""First process of ``vedette.Alerting``: ``python3 -m alerting``."""

from __future__ import annotations

import logging
import signal
import sys

from vedette.adapters.bus.greengrass import GreengrassBus
from vedette.compose.alerting import AlertingService
from vedette.contracts.errors import VedetteError


def main() -> int:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        bus = GreengrassBus()
    except VedetteError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the only place where there is no log yet
        return 1
    service = AlertingService(bus)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    try:
        service.run()
    finally:
        bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
