"""What a camera's process is a copy of. Started by the component's supervisor, once for all cameras."""

from __future__ import annotations

import importlib
import sys
from typing import Final

from camera_ingest.camera import main as capture
from vedette.adapters.supervision import become_template

#: What ``camera_ingest.camera`` imports when it runs.
SHARED: Final = ("vedette.compose.capture", "vedette.compose.processes")


def main() -> int:
    """Import, be copied; in each copy: capture a camera."""
    for name in SHARED:
        importlib.import_module(name)
    become_template()
    return capture()


if __name__ == "__main__":
    sys.exit(main())
