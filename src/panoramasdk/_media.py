"""A picture of one stream, and what is drawn on it."""

from __future__ import annotations

import math
from typing import Any, List, Optional, Tuple, Union

import numpy as np

#: Annotations of one picture, and their size in a message; what comes after them is left out.
_MOST_ANNOTATIONS = 500
_MOST_BYTES = 48 << 10
#: Characters of a label.
_MOST_CHARACTERS = 200
#: Size of a rectangle, or of a label's numbers, in a message, bytes.
_NUMBERS_BYTES = 56

_Annotation = List[Union[str, float]]


class media:  # noqa: N801 - the name that applications use
    """One picture.

    Attributes:
        image: the picture, ``(height, width, 3)`` uint8 in the order blue, green, red. It may be drawn into.
        is_cached: whether it was delivered before, and another stream's picture is new.
        stream_id: the camera.
        stream_uri: its address, without name and password.
        time_stamp: ``(seconds, microseconds)`` since 1970 at which it was taken.
    """

    def __init__(
        self,
        image: Any,
        stream_id: str = "",
        stream_uri: str = "",
        time_stamp: Tuple[int, int] = (0, 0),
        is_cached: bool = False,
        token: int = 0,
        in_place: bool = False,
    ) -> None:
        self._image = image
        self._in_place = in_place
        self._token = token
        self._annotations: List[_Annotation] = []
        self._size = 0
        self.stream_id = stream_id
        self.stream_uri = stream_uri
        self.time_stamp = time_stamp
        self.is_cached = is_cached

    @property
    def image(self) -> Any:
        """The picture; the same array on every access."""
        return self._image

    @image.setter
    def image(self, value: Any) -> None:
        self._image = value
        self._in_place = False

    def add_label(self, text: Any, x: Any, y: Any) -> None:
        """Write a text at a point, given as shares of width and height, from the top left."""
        shown = "".join(character for character in str(text)[:_MOST_CHARACTERS] if character.isprintable())
        self._add(["label", shown, _share(x), _share(y)], 2 * len(shown.encode("utf-8", "replace")))

    def add_rect(self, left: Any, top: Any, right: Any, bottom: Any) -> None:
        """Draw a rectangle, given as shares of width and height, from the top left."""
        self._add(["rect", _share(left), _share(top), _share(right), _share(bottom)])

    def _add(self, annotation: _Annotation, text_bytes: int = 0) -> None:
        size = self._size + _NUMBERS_BYTES + text_bytes
        if len(self._annotations) < _MOST_ANNOTATIONS and size <= _MOST_BYTES:
            self._annotations.append(annotation)
            self._size = size


def _share(value: Any) -> float:
    """A number between 0 and 1; what is outside is moved to the border, what is no number to 0."""
    number = float(value)
    return 0.0 if math.isnan(number) else round(min(max(number, 0.0), 1.0), 5)


def upload_of(one: media) -> Optional[Any]:
    """A picture's array where the host has not got it in its own memory; None where it has, or it is no picture."""
    if one._in_place:
        return None
    array = np.asarray(one._image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        return None
    return np.ascontiguousarray(array)
