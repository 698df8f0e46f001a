"""What the code of a Panorama application is given, and what is taken from it: pictures, values, models, drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import TensorInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle that the code drew: shares of width and height, 0..1, origin top left."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Label:
    """A text that the code wrote at a point: shares of width and height, 0..1, origin top left."""

    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class OutputPicture:
    """One picture that the code has put on an output port.

    Attributes:
        stream: the camera, as the device calls it.
        info: which picture it is.
        rects: what was drawn, in order.
        labels: what was written, in order.
        pixels: the picture as the code left it, ``(height, width, 3)`` uint8 BGR, which the code may go on changing;
            None where it was not handed over.
    """

    stream: str
    info: FrameInfo
    rects: tuple[Rect, ...]
    labels: tuple[Label, ...]
    pixels: NDArray[np.uint8] | None = None


class StreamPicture(Protocol):
    """A new picture of one stream, for as long as ``wait`` has not been called again."""

    @property
    def stream(self) -> str:
        """The camera, as the device calls it."""
        ...

    @property
    def info(self) -> FrameInfo:
        """Which picture it is."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as the code gets it, pixels."""
        ...

    def fill(self, target: NDArray[np.uint8]) -> bool:
        """Write it into ``target``, ``(height, width, 3)`` uint8, as BGR; whether it was intact until the end."""
        ...


class PictureSource(Protocol):
    """Pictures of the streams of one media port. Used by one thread at a time."""

    def wait(self, timeout_s: float) -> Sequence[StreamPicture]:
        """Every stream that has a new picture, in the port's order; none where the time is over.

        Raises:
            EndOfPictures: there will be none any more.
        """
        ...


class EndOfPictures(Exception):  # noqa: N818 - an end, not an error
    """A recording is over: the code is not answered any more."""


class TensorRunner(Protocol):
    """The models that the code may call. Used by many threads."""

    @property
    def nodes(self) -> Mapping[str, tuple[TensorInput, ...]]:
        """Model node → its inputs."""
        ...

    def run(self, node: str, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[NDArray[np.generic], ...]:
        """Run a model.

        Args:
            node: its name.
            inputs: input → array; the name is empty where the code gave an array without one.

        Raises:
            KeyError: no model node has this name.
            ValueError: an input is missing, unknown, or of another shape or type.
            ModelError: V302, the run failed.
        """
        ...


class OutputSink(Protocol):
    """Takes what the code puts on its output ports. Used by many threads."""

    @property
    def pictures_wanted(self) -> bool:
        """Whether anybody looks at the pictures themselves."""
        ...

    def put(self, port: str, pictures: Sequence[OutputPicture]) -> None:
        """Take pictures that the code has put on a port."""
        ...
