"""Entry point of ``vedette.CameraIngest``."""

from __future__ import annotations

import logging
import signal
import sys

from camera_ingest.logs import configure_logging
from camera_ingest.service import IngestService
from vedette.adapters.bus.greengrass import GreengrassBus
from vedette.contracts.errors import VedetteError


def main() -> int:
    """Run the component until SIGTERM."""
    redaction = configure_logging("INFO")
    try:
        bus = GreengrassBus()
        service = IngestService(bus, redaction)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        service.run()
        bus.close()
    except VedetteError as error:
        logging.getLogger("camera_ingest").error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
