"""What the code of a Panorama application may say to its host. It is believed nothing: every value has a bound."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from vedette.contracts.base import Contract
from vedette.contracts.manifest import TensorType
from vedette.contracts.manifest.panorama import PortName
from vedette.ports.panorama import Label, Rect

#: Largest packet in either direction, bytes.
PACKET_BYTES: Final = 64 << 10
#: Largest memory of one connection, and the most that one picture or tensor may be, bytes.
ROOM_BYTES: Final = 512 << 20
#: Longest that the code may ask to wait; more is as good as for ever, seconds.
LONGEST_WAIT_S: Final = 10**9
_MOST_ANNOTATIONS: Final = 500
_MOST_RELEASED: Final = 256
_MOST_RINGS: Final = 256

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Offset = Annotated[int, Field(ge=0, lt=ROOM_BYTES)]
Side = Annotated[int, Field(ge=1, le=1 << 24)]
Token = Annotated[int, Field(ge=0, lt=1 << 63)]
#: Named by code; looked up, and answered with ``KeyError`` where there is none.
AnyName = Annotated[str, Field(max_length=200)]


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


class Hello(Contract):
    """Which ports are there?

    Attributes:
        sdk: version of what is said here.
        client: number that the process has given itself, for as long as this connection is open.
    """

    do: Literal["hello"]
    sdk: Annotated[int, Field(ge=1, le=1000)]
    client: Token


class Value(Contract):
    """What does a parameter port give?"""

    do: Literal["value"]
    port: PortName


class Get(Contract):
    """The next pictures of a media port.

    Attributes:
        client: whose they will be.
        rings: memory that this process has.
        released: pictures whose memory it does not use any more.
    """

    do: Literal["get"]
    port: PortName
    client: Token
    timeout_s: Annotated[float | None, Field(allow_inf_nan=False)] = None
    rings: Annotated[tuple[Token, ...], Field(max_length=_MOST_RINGS)] = ()
    released: Annotated[tuple[Token, ...], Field(max_length=_MOST_RELEASED)] = ()


class Room(Contract):
    """Memory for tensors and pictures that this connection brings and takes."""

    do: Literal["room"]
    bytes: Annotated[int, Field(ge=1, le=ROOM_BYTES)]


class TensorEntry(Contract):
    """An array in the connection's memory."""

    name: AnyName
    dtype: TensorType
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=1 << 24)], ...], Field(max_length=8)]
    offset: Offset

    @property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


class Call(Contract):
    """Run a model."""

    do: Literal["call"]
    node: AnyName
    inputs: Annotated[tuple[TensorEntry, ...], Field(min_length=1, max_length=16)]


class ImageEntry(Contract):
    """A picture in the connection's memory, uint8 BGR."""

    offset: Offset
    height: Side
    width: Side


RectEntry = tuple[Literal["rect"], Share, Share, Share, Share]
LabelEntry = tuple[Literal["label"], Annotated[str, Field(max_length=200), AfterValidator(_one_line)], Share, Share]


class PutEntry(Contract):
    """One picture that is handed on."""

    token: Token
    annotations: Annotated[tuple[RectEntry | LabelEntry, ...], Field(max_length=_MOST_ANNOTATIONS)] = ()
    image: ImageEntry | None = None

    def drawn(self) -> tuple[tuple[Rect, ...], tuple[Label, ...]]:
        """Rectangles and labels, each in their order."""
        rects = tuple(Rect(*one[1:]) for one in self.annotations if one[0] == "rect")
        return rects, tuple(Label(*one[1:]) for one in self.annotations if one[0] == "label")


class Put(Contract):
    """A picture for an output port, one of several that belong together."""

    do: Literal["put"]
    port: PortName
    part: Annotated[int, Field(ge=0, lt=64)]
    of: Annotated[int, Field(ge=1, le=64)]
    media: PutEntry


Request = Hello | Value | Get | Room | Call | Put
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="do")])


class NotUnderstood(Exception):  # noqa: N818 - says what it is
    """A packet that is no request."""


def read_request(packet: bytes) -> Request:
    """The request in a packet.

    Raises:
        NotUnderstood: it is none, and why.
    """
    if len(packet) > PACKET_BYTES:
        raise NotUnderstood(f"it is longer than {PACKET_BYTES} bytes")
    try:
        return _REQUEST.validate_json(packet)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise NotUnderstood(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def answer(**fields: Any) -> bytes:
    """An answer."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def refusal(kind: str, text: str) -> bytes:
    """An answer that the code gets as an exception.

    Args:
        kind: ``KeyError``, ``ValueError``, ``RuntimeError`` or ``TimeoutException``.
        text: for the developer.
    """
    return answer(error={"kind": kind, "text": text[:2000]})
