"""First process of ``vedette.Inference``: ``python3 -m inference``."""

from __future__ import annotations

import sys

from vedette.compose.inference import InferenceService
from vedette.compose.processes import run_component


def main() -> int:
    """Run until SIGTERM."""
    return run_component(lambda bus, _redaction: InferenceService(bus))


if __name__ == "__main__":
    sys.exit(main())
