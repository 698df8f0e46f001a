"""One media port: waits for pictures, writes them where the code finds them, and says what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from vedette.adapters.panorama import messages
from vedette.adapters.panorama.rings import Handed, Rings
from vedette.ports.panorama import PictureSource, StreamPicture

#: How often a thread that waits for pictures looks whether it is to stop, seconds.
STEP_S: Final = 0.25
#: Descriptors that one answer may carry; more streams begin with the answers after it.
_MOST_DESCRIPTORS: Final = 8
_MICRO: Final = 1_000_000


class PortClosed(Exception):  # noqa: N818 - an end, not an error
    """The host stops; the code is not answered any more."""


class MediaPort:
    """Pictures of one port.

    Args:
        source: of its pictures.
        rings: where they are written.
        uris: camera → what the code is told as its address.
        closed: set when the host stops.
        monotonic: clock of waiting.
    """

    def __init__(
        self,
        source: PictureSource,
        rings: Rings,
        uris: Mapping[str, str],
        closed: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._rings = rings
        self._uris = uris
        self._closed = closed
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._latest: dict[str, Handed] = {}
        self._known: dict[str, int] = {}
        self.given = 0

    def get(self, timeout_s: float | None) -> tuple[bytes, list[int]] | None:
        """The answer with the next pictures, and the descriptors that go with it; None where the time is over.

        Raises:
            PortClosed: the host stops.
            EndOfPictures: there will be none any more.
            CameraError: V205, there is not enough memory.
        """
        until_s = self._monotonic() + min(messages.LONGEST_WAIT_S if timeout_s is None else timeout_s, 1e9)
        while not self._lock.acquire(timeout=STEP_S):
            self._check(until_s)
        try:
            while True:
                self._raise_if_closed()
                left_s = until_s - self._monotonic()
                pictures = self._source.wait(max(0.0, min(STEP_S, left_s)))
                fresh = {handed.stream: handed for picture in pictures if (handed := self._take(picture))}
                if fresh:
                    return self._answer(fresh)
                if left_s <= 0:
                    return None
        finally:
            self._lock.release()

    def _check(self, until_s: float) -> None:
        self._raise_if_closed()
        if self._monotonic() > until_s:
            raise TimeoutError

    def _raise_if_closed(self) -> None:
        if self._closed.is_set():
            raise PortClosed

    def _take(self, picture: StreamPicture) -> Handed | None:
        """Write a picture into a slot; None where it was overwritten meanwhile, or the code holds every slot."""
        found = self._rings.slot(picture.stream, picture.size)
        if found is None:
            return None
        token, target = found
        if not picture.fill(target):
            self._rings.release(token)
            return None
        self.given += 1
        return self._rings.hand_out(token, picture.stream, picture.info)

    def _answer(self, fresh: dict[str, Handed]) -> tuple[bytes, list[int]]:
        rings: list[dict[str, int]] = []
        descriptors: list[int] = []
        gone: list[int] = []
        for stream, handed in list(fresh.items()):
            if self._known.get(stream) == handed.ring:
                continue
            if len(rings) == _MOST_DESCRIPTORS:
                self._rings.release(handed.token)
                del fresh[stream]
                continue
            number, descriptor, size = self._rings.ring(stream)
            rings.append({"ring": number, "bytes": size})
            descriptors.append(descriptor)
            if stream in self._known:
                gone.append(self._known[stream])
            self._known[stream] = number
        self._latest |= fresh
        media = [self._entry(self._latest[stream], cached=stream not in fresh) for stream in self._order()]
        return messages.answer(media=media, rings=rings, gone=gone), descriptors

    def _order(self) -> list[str]:
        return [stream for stream in self._uris if stream in self._latest]

    def _entry(self, handed: Handed, *, cached: bool) -> dict[str, Any]:
        width, height = handed.size
        microseconds = round(handed.info.wall_s * _MICRO)
        return {
            "token": handed.token,
            "ring": handed.ring,
            "offset": handed.offset,
            "height": height,
            "width": width,
            "stream_id": handed.stream,
            "stream_uri": self._uris[handed.stream],
            "time_stamp": [microseconds // _MICRO, microseconds % _MICRO],
            "cached": cached,
            "copy": handed.copy,
        }
