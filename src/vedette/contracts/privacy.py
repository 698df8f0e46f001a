"""What pictures of people an application may keep."""

from __future__ import annotations

from enum import StrEnum


class Privacy(StrEnum):
    """What evidence may show, from the most open to the strictest. ``vedette.core.privacy`` compares them."""

    NONE = "none"
    BLUR = "blur"
    METADATA_ONLY = "metadata-only"
