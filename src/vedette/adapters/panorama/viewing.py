"""Pictures that the code of an application has put, for whoever looks on this machine: drawn over, on a socket.

Nothing is encoded while nobody looks, and no picture is written to a disk.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.adapters.pictures.labels import INK, write_label
from vedette.adapters.unix_sockets import check_socket_path, listen_at, peer_allowed
from vedette.contracts.errors import StorageError
from vedette.ports.panorama import Label, OutputPicture, Rect

log = logging.getLogger(__name__)

#: Pictures a second that are shown, and people who look at the same time.
SHOWN_FPS: Final = 5.0
MOST_VIEWERS: Final = 8
#: What is shown is no wider than this, pixels.
WIDEST_PX: Final = 1280
_QUALITY: Final = 80
_LARGEST_BYTES: Final = 16 << 20
#: Somebody who takes nothing for so long is let go, seconds.
_PATIENCE_S: Final = 2.0
_HEAD: Final = struct.Struct("!HI")


def view_socket(run: Path, application: str) -> Path:
    """Where an application's pictures are shown.

    Args:
        run: folder of the sockets of the state directory.
        application: its name.
    """
    return run / f"view-{zlib.crc32(application.encode()):08x}.sock"


class ViewServer:
    """Implements ``vedette.pipeline.drawn.PictureTap``.

    Args:
        path: of the socket.
        monotonic: clock.

    Raises:
        StorageError: V401, the socket cannot be made.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._viewers: list[socket.socket] = []
        self._latest: dict[str, dict[str, NDArray[np.uint8]]] = {}
        self._next_s: dict[str, float] = {}
        self._closed = False
        self._listener = listen_at(path, socket.SOCK_STREAM, MOST_VIEWERS, "view")
        self._thread = threading.Thread(target=self._accept, name="view", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether anybody looks now."""
        return bool(self._viewers)

    def show(self, port: str, pictures: Sequence[OutputPicture]) -> None:
        """Show what was put: the newest of each stream, side by side."""
        with self._lock:
            known = self._latest.setdefault(port, {})
            due = self._monotonic() >= self._next_s.get(port, 0.0)
            if not due and all(picture.stream in known for picture in pictures):
                return
            for picture in pictures:
                if picture.pixels is not None:
                    known[picture.stream] = drawn_over(picture.pixels, picture.rects, picture.labels, picture.stream)
            if not due or not known:
                return
            self._next_s[port] = self._monotonic() + 1 / SHOWN_FPS
            done, data = cv2.imencode(".jpg", tiled(list(known.values())), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            if not done:
                return
            name, content = port.encode(), data.tobytes()
            for viewer in list(self._viewers):
                try:
                    viewer.sendall(_HEAD.pack(len(name), len(content)) + name + content)
                except OSError:  # gone, or it takes nothing
                    self._viewers.remove(viewer)
                    viewer.close()
            if not self._viewers:
                self._latest.clear()

    def close(self) -> None:
        """Show nothing any more; idempotent."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_PATIENCE_S)
        self._path.unlink(missing_ok=True)
        with self._lock:
            for viewer in self._viewers:
                viewer.close()
            self._viewers.clear()

    def _accept(self) -> None:
        while True:
            try:
                viewer, _ = self._listener.accept()
            except OSError:
                return
            viewer.settimeout(_PATIENCE_S)
            with self._lock:
                if not self._closed and len(self._viewers) < MOST_VIEWERS and peer_allowed(viewer, self._path.parent):
                    self._viewers.append(viewer)
                else:
                    viewer.close()


def watch(path: Path, silence_s: float = 2.0) -> Iterator[tuple[str, bytes] | None]:
    """Look at an application: (output port, JPEG) each, and None whenever nothing came for a while.

    Args:
        path: of the socket.
        silence_s: what is a while.

    Raises:
        StorageError: V401, nobody shows anything there, or not any more.
    """
    with _connected(path) as connection:
        while True:
            if not select.select([connection], [], [], silence_s)[0]:
                yield None
                continue
            name_bytes, size = _HEAD.unpack(_exactly(connection, _HEAD.size))
            if size > _LARGEST_BYTES:
                raise StorageError(f"what comes from {path} is no picture.", code="V401")
            yield _exactly(connection, name_bytes).decode("utf-8", "replace"), _exactly(connection, size)


def reachable(path: Path) -> None:
    """See that somebody shows pictures.

    Raises:
        StorageError: V401, nobody does.
    """
    _connected(path).close()


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(check_socket_path(path))
    except OSError as error:
        connection.close()
        raise StorageError(
            f"no pictures are shown at {path}: {error.strerror}.",
            hint="The application has to run on this machine, and its Panorama code to be RUNNING: vedette status.",
            code="V401",
        ) from error
    return connection


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            chunk = connection.recv(size - len(data))
        except OSError:
            chunk = b""
        if not chunk:
            raise StorageError("the application has ended.", hint="See: vedette status", code="V401")
        data += chunk
    return bytes(data)


def drawn_over(
    pixels: NDArray[np.uint8], rects: Sequence[Rect], labels: Sequence[Label], name: str = ""
) -> NDArray[np.uint8]:
    """A copy of a picture with what was drawn on it, no wider than it is shown.

    Args:
        pixels: ``(height, width, 3)`` uint8 BGR.
        rects: in shares of width and height.
        labels: likewise.
        name: of the camera, in a corner.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, WIDEST_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = np.array(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels, np.uint8)
    width, height = size
    for rect in rects:
        first = (round(rect.left * width), round(rect.top * height))
        last = (round(rect.right * width) - 1, round(rect.bottom * height) - 1)
        cv2.rectangle(picture, first, last, INK, 2)
    for label in labels:
        write_label(picture, label.text, (round(label.x * width), round(label.y * height)))
    if name:
        write_label(picture, name, (8, height - 8))
    return picture


def tiled(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Several pictures in one, in rows and columns; each as large as the place allows.

    Args:
        pictures: ``(height, width, 3)`` uint8 each, at least one.
    """
    if len(pictures) == 1:
        return pictures[0]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    width = WIDEST_PX // columns
    height = max(round(picture.shape[0] * width / picture.shape[1]) for picture in pictures)
    whole = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(pictures):
        scale = min(width / picture.shape[1], height / picture.shape[0])
        size = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
        top, left = index // columns * height, index % columns * width
        whole[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return whole
