"""A picture to draw on: of a picture file, or the first one of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.adapters.capture.opening import file_address, open_container
from vedette.contracts.camera import Transport
from vedette.contracts.errors import CameraError

#: Largest picture file that is read.
MAX_BYTES: Final = 64 << 20


def read_background(path: Path) -> NDArray[np.uint8]:
    """The picture.

    Returns:
        uint8 (height, width, 3), blue, green, red.

    Raises:
        CameraError: V204, the file is neither a picture nor a recording.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES) if path.is_file() else b""
    except OSError as error:
        raise CameraError(f"{path} cannot be read: {error.strerror or error}.", code="V204") from error
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return np.asarray(found, np.uint8) if found is not None else _first_picture(path)


def _first_picture(path: Path) -> NDArray[np.uint8]:
    try:
        with open_container(file_address(path), Transport.AUTO) as container:
            for frame in container.decode(video=0):
                return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (CameraError, av.error.FFmpegError, IndexError) as error:
        raise _no_picture(path) from error
    raise _no_picture(path)


def _no_picture(path: Path) -> CameraError:
    return CameraError(f"{path} is neither a picture nor a recording that can be decoded.", code="V204")
