"""Codes in picture files and recordings: what was read, where, when, how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.adapters.capture.opening import file_address
from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.engines.codes import CodeReader
from vedette.contracts.errors import CameraError
from vedette.core.pixels import Pixels

#: Largest picture file that is read, and different codes of one file that are kept.
MAX_BYTES: Final = 64 << 20
MAX_CODES: Final = 1000
_GREY: Final = 128
_INK: Final = (60, 220, 60)
_SHADE: Final = (24, 24, 24)


@dataclass(frozen=True, slots=True)
class FoundCode:
    """One text of one file.

    Attributes:
        symbology: kind of the code, a name of ``core.symbologies``.
        text: what it says.
        box: left, top, right, bottom where it was read first, shares of the picture.
        first_s: when it was read first, seconds into the recording; 0 in a picture.
        last_s: when it was read last.
        reads: in how many pictures it was read.
    """

    symbology: str
    text: str
    box: tuple[float, float, float, float]
    first_s: float
    last_s: float
    reads: int


@dataclass(frozen=True, slots=True, eq=False)
class CodesOfFile:
    """What a file holds.

    Attributes:
        width: of its pictures, pixels.
        height: the same.
        pictures: that were looked at.
        recording: whether it is one, rather than a picture.
        codes: in the order in which they were read first.
        shown: the picture with the most codes, the first of them; blue, green, red, uint8 (height, width, 3).
    """

    width: int
    height: int
    pictures: int
    recording: bool
    codes: tuple[FoundCode, ...]
    shown: NDArray[np.uint8]


def read_codes(path: Path, reader: CodeReader, fps: float) -> CodesOfFile:
    """All codes of a picture or a recording.

    Args:
        path: the file.
        reader: reads.
        fps: pictures a second of a recording that are looked at.

    Raises:
        CameraError: V203 or V204, it is neither, or cannot be read.
    """
    picture = _picture(path)
    found: dict[tuple[str, str], FoundCode] = {}
    most, count = -1, 0
    shown, size = np.zeros((1, 1, 3), np.uint8), (0, 0)
    for t_s, pixels in recording_pixels(path, fps) if picture is None else [(0.0, _as_pixels(picture))]:
        count, size = count + 1, (pixels.width, pixels.height)
        now = _read(reader, pixels, t_s)
        for code in now:
            key = (code.symbology, code.text)
            before = found.get(key)
            if before is not None:
                found[key] = replace(before, last_s=t_s, reads=before.reads + 1)
            elif len(found) < MAX_CODES:
                found[key] = code
        if len(now) > most:
            most = len(now)
            shown = draw_codes(as_bgr(pixels) if picture is None else picture, now)
    if count == 0:
        raise CameraError(f"{path} holds no picture that can be decoded.", code="V203")
    return CodesOfFile(*size, count, picture is None, tuple(found.values()), shown)


def draw_codes(picture: NDArray[np.uint8], codes: list[FoundCode]) -> NDArray[np.uint8]:
    """A copy with the codes in it: uint8 (height, width, 3), blue, green, red."""
    drawn = picture.copy()
    height, width = drawn.shape[:2]
    size = max(0.4, width / 1600)
    for code in codes:
        left, right = (round(x * width) for x in code.box[::2])
        top, bottom = (round(y * height) for y in code.box[1::2])
        cv2.rectangle(drawn, (left, top), (right, bottom), _INK, 2)
        words = f"{code.symbology} {code.text}"[:60].encode("ascii", "replace").decode()
        (across, up), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        x, y = max(0, min(left, width - across)), top if top > up + 8 else min(height - 4, bottom + up + 8)
        cv2.rectangle(drawn, (x, y - up - 8), (x + across, y), _SHADE, -1)
        cv2.putText(drawn, words, (x, y - 4), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
    return drawn


def _read(reader: CodeReader, pixels: Pixels, t_s: float) -> list[FoundCode]:
    found = reader.detect(pixels)
    scale = np.array((pixels.width, pixels.height) * 2, np.float64)
    codes = []
    for row, text in enumerate(found.texts or ()):
        left, top, right, bottom = (round(float(value), 4) for value in found.boxes[row] / scale)
        label = reader.labels[int(found.classes[row])]
        codes.append(FoundCode(label, text, (left, top, right, bottom), t_s, t_s, 1))
    return codes


def _picture(path: Path) -> NDArray[np.uint8] | None:
    """The picture of a picture file; None where it is something else."""
    try:
        if not path.is_file():
            raise OSError(0, "there is no such file" if not path.exists() else "it is a directory")
        if path.suffix.lower() == ".gif" or path.stat().st_size > MAX_BYTES:
            return None
        content = path.read_bytes()
    except OSError as error:
        raise CameraError(f"{path} cannot be read: {error.strerror or error}.", code="V204") from error
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return None if image is None else np.asarray(image, np.uint8)


def recording_pixels(path: Path, fps: float) -> Iterator[tuple[float, Pixels]]:
    """Pictures of a recording, as a camera would give them: (seconds from its beginning, planes).

    Raises:
        CameraError: V204, it cannot be decoded.
    """
    try:
        address = file_address(path)
        source = PyAvSource(address, camera="file", fps=fps, realtime=False, wall_start_s=0.0)
    except CameraError as error:
        raise _neither(path) from error
    try:
        for info, pixels in source:
            yield info.media_time_s, pixels
    except CameraError as error:
        raise _neither(path) from error
    finally:
        source.close()


def _neither(path: Path) -> CameraError:
    return CameraError(f"{path} is neither a picture nor a recording that can be decoded.", code="V204")


def _as_pixels(picture: NDArray[np.uint8]) -> Pixels:
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    half = np.full(((grey.shape[0] + 1) // 2, (grey.shape[1] + 1) // 2), _GREY, np.uint8)
    return Pixels(grey, half, half, full_range=True)


def as_bgr(pixels: Pixels) -> NDArray[np.uint8]:
    """In colour, uint8 (height, width, 3)."""
    size = (pixels.width, pixels.height)
    halves = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (pixels.v, pixels.u)]
    return np.asarray(cv2.cvtColor(np.dstack((pixels.y, *halves)), cv2.COLOR_YCrCb2BGR), np.uint8)
