"""A camera's process that logs as the standard library does: to whoever reads, and waiting for them."""

from __future__ import annotations

import logging
import sys

from camera_ingest.camera import main
from vedette.compose import processes

if __name__ == "__main__":
    vars(processes)["LogOutput"] = logging.StreamHandler
    sys.exit(main())
