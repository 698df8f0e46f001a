"""One media port: waits for pictures, writes them where the code finds them, and says what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vedette.adapters.panorama import messages
from vedette.adapters.panorama.rings import Handed, Rings
from vedette.ports.panorama import PictureSource, StreamPicture

#: How often a thread that waits for pictures looks whether it is to stop, seconds.
STEP_S: Final = 0.25
#: Descriptors that one answer may carry; the pictures of more new streams are left out.
_MOST_DESCRIPTORS: Final = 64
#: Characters of a camera's address that the code is told, so that those of all fit into an answer.
_ADDRESS_CHARACTERS: Final = 300
_MICRO: Final = 1_000_000


class PortClosed(Exception):  # noqa: N818 - an end, not an error
    """The host stops, or the code has hung up; nobody is answered any more."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """An answer with pictures.

    Attributes:
        data: the packet.
        descriptors: of memory that is new to the process; closed by who has sent them.
        tokens: slots that the process has from now on.
    """

    data: bytes
    descriptors: list[int]
    tokens: tuple[int, ...]


class MediaPort:
    """Pictures of one port.

    Args:
        source: of its pictures.
        rings: where they are written.
        uris: camera → what the code is told as its address.
        monotonic: clock of waiting.
    """

    def __init__(
        self,
        source: PictureSource,
        rings: Rings,
        uris: Mapping[str, str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._rings = rings
        self._uris = {stream: uri[:_ADDRESS_CHARACTERS] for stream, uri in uris.items()}
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._latest: dict[str, Handed] = {}
        self._pending: Sequence[StreamPicture] = ()
        self.given = 0

    def get(self, request: messages.Get, stopped: Callable[[], bool]) -> Pictures | None:
        """The next pictures; None where the time is over.

        Args:
            request: who asks, and for how long.
            stopped: whether nobody waits for an answer any more.

        Raises:
            PortClosed: nobody does.
            EndOfPictures: there will be none any more.
            CameraError: V205, there is not enough memory.
        """
        longest_s = messages.LONGEST_WAIT_S
        until_s = self._monotonic() + min(longest_s if request.timeout_s is None else request.timeout_s, longest_s)
        while not self._lock.acquire(timeout=max(0.0, min(STEP_S, until_s - self._monotonic()))):
            if stopped():
                raise PortClosed
            if self._monotonic() >= until_s:
                return None
        try:
            while True:
                left_s = until_s - self._monotonic()
                pictures = self._pending or self._source.wait(max(0.0, min(STEP_S, left_s)))
                if stopped():
                    self._pending = pictures  # for who asks next
                    raise PortClosed
                self._pending = ()
                fresh = {new.stream: new for picture in pictures if (new := self._take(picture, request.client))}
                if fresh and (answer := self._answer(fresh, request)):
                    return answer
                if left_s <= 0:
                    return None
        finally:
            self._lock.release()

    def _take(self, picture: StreamPicture, client: int) -> Handed | None:
        """Write a picture into a slot; None where it was overwritten meanwhile, or the code holds every slot."""
        found = self._rings.slot(picture.stream, picture.size, client)
        if found is None:
            return None
        token, target = found
        intact = False
        try:
            intact = picture.fill(target)
        finally:
            if not intact:
                self._rings.release(token, client)
        if not intact:
            return None
        self.given += 1
        return self._rings.hand_out(token, picture.stream, picture.info)

    def _answer(self, fresh: dict[str, Handed], request: messages.Get) -> Pictures | None:
        rings: list[dict[str, int]] = []
        descriptors: list[int] = []
        known = set(request.rings)
        for stream, handed in list(fresh.items()):
            if handed.ring in known:
                continue
            found = self._rings.memory(handed.token) if len(rings) < _MOST_DESCRIPTORS else None
            if found is None:
                self._rings.release(handed.token, request.client)
                del fresh[stream]
                continue
            descriptors.append(found[0])
            rings.append({"ring": handed.ring, "bytes": found[1]})
            known.add(handed.ring)
        if not fresh:
            return None
        self._latest |= fresh
        media = [self._entry(self._latest[stream], cached=stream not in fresh) for stream in self._order()]
        tokens = tuple(handed.token for handed in fresh.values())
        return Pictures(messages.answer(media=media, rings=rings), descriptors, tokens)

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
