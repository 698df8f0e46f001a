"""A camera's process. Started by the component's supervisor, one per camera."""

from __future__ import annotations

import logging
import os
import sys

from vedette.adapters.supervision import ChildLink


def main() -> int:
    """Take the specification from standard input and capture until the supervisor goes."""
    link = ChildLink()  # before the slow imports, so that this process cannot outlive its supervisor
    from vedette.compose.capture import run_camera
    from vedette.compose.processes import configure_logging
    from vedette.contracts.errors import VedetteError

    redaction = configure_logging(os.environ.get("VEDETTE_LOG_LEVEL", "INFO"))
    link.send({"hello": os.getpid()})
    try:
        run_camera(link, redaction)
    except VedetteError as error:
        logging.getLogger("camera_ingest").error("%s", error)
        link.send({"failed": str(error), "error": error.code})
        return 1
    except Exception:
        logging.getLogger("camera_ingest").exception("the camera's process fails; it is being replaced")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
