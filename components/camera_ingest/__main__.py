"""First process of ``vedette.CameraIngest``: ``python3 -m camera_ingest``."""

from __future__ import annotations

import sys

from camera_ingest.service import IngestService
from vedette.compose.processes import run_component


def main() -> int:
    """Run until SIGTERM."""
    return run_component(IngestService)


if __name__ == "__main__":
    sys.exit(main())
