"""Logging of the component's processes: lines on standard error, without credentials."""

from __future__ import annotations

import logging
import sys

from vedette.core.redact import RedactingFilter


def configure_logging(level: str) -> RedactingFilter:
    """Log to standard error; the filter learns this process' secrets."""
    redaction = RedactingFilter()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(redaction)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    return redaction
