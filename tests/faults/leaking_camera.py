"""A camera's process as it is, which keeps so many bytes of each connection: ``python -m … BYTES``."""

from __future__ import annotations

import sys
from typing import Any

from camera_ingest.camera import main
from vedette.compose.capture import CameraOpener

if __name__ == "__main__":
    leaked: list[bytes] = []
    opens = CameraOpener.open

    def leaking(self: CameraOpener, *arguments: Any) -> Any:
        leaked.append(bytes(int(sys.argv[1])))
        return opens(self, *arguments)

    CameraOpener.open = leaking  # type: ignore[method-assign, assignment]
    sys.exit(main())
