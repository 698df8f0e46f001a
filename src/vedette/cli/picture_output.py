"""Pictures that commands write."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.contracts.errors import UsageError

_KINDS: Final = (".png", ".jpg", ".jpeg", ".webp")


def check_picture_path(output: Path) -> None:
    """See that a picture can have that name, before the work is done.

    Raises:
        UsageError: V701, its ending is of no kind that is written.
    """
    if output.suffix.lower() not in _KINDS:
        raise UsageError(f"--output {output}: the ending must be one of {', '.join(_KINDS)}.")


def write_picture(output: Path, picture: NDArray[np.uint8]) -> None:
    """Write it, as PNG, JPEG or WebP by its name's ending.

    Args:
        output: where to.
        picture: uint8 (height, width, 3), blue, green, red.

    Raises:
        UsageError: V701, it cannot be written.
    """
    encoded, content = cv2.imencode(output.suffix.lower(), picture)
    try:
        if not encoded:
            raise OSError(0, "the picture cannot be encoded")
        output.write_bytes(content.tobytes())
    except OSError as error:
        raise UsageError(f"--output {output} cannot be written: {error.strerror}.") from error
