"""The ways a simulated camera can misbehave, as data.

Every fault is a frozen value with a ``kind``; a JSON object with the same fields asks for it over the control socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vedette.contracts.errors import UsageError


class Fault(BaseModel):
    """What every fault has.

    Attributes:
        seconds: the fault ends by itself after this long; without it, it lasts until cleared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    seconds: float | None = Field(default=None, gt=0, le=86_400)


class _Refusal(Fault):
    """A fault that shows at the next request.

    Attributes:
        drop_clients: end existing connections, so that clients meet the fault at once.
    """

    drop_clients: bool = True


class Cut(Fault):
    """Connections end (reset or closed) and new ones are refused."""

    kind: Literal["cut"] = "cut"
    how: Literal["rst", "fin"] = "rst"


class Restart(Fault):
    """The camera reboots: connections end, it is away for ``seconds`` and comes back with new RTP numbers."""

    kind: Literal["restart"] = "restart"
    seconds: float | None = Field(default=2.0, gt=0, le=86_400)


class Silent(Fault):
    """No media; the connection stays open and requests are answered."""

    kind: Literal["silent"] = "silent"


class Deaf(Fault):
    """No media and no answers; connections are accepted and stay open."""

    kind: Literal["deaf"] = "deaf"


class Corrupt(Fault):
    """Bit errors in coded picture data (parameter sets and headers stay whole).

    Attributes:
        probability: of each NAL unit (JPEG: image) to be damaged.
        bits: how many bits flip in a damaged one.
        seed: of the random choices.
    """

    kind: Literal["corrupt"] = "corrupt"
    probability: float = Field(default=0.02, ge=0, le=1)
    bits: int = Field(default=8, ge=1, le=10_000)
    seed: int = 0


class Loss(Fault):
    """RTP packets vanish, over UDP and TCP alike.

    Attributes:
        probability: of each packet to be lost.
        seed: of the random choices.
    """

    kind: Literal["loss"] = "loss"
    probability: float = Field(default=0.05, ge=0, le=1)
    seed: int = 0


class Jitter(Fault):
    """Pictures are sent late by a random time, in order.

    Attributes:
        up_to_ms: largest delay, milliseconds.
        seed: of the random choices.
    """

    kind: Literal["jitter"] = "jitter"
    up_to_ms: float = Field(default=200.0, ge=0, le=60_000)
    seed: int = 0


class NoKeyframes(Fault):
    """Key pictures and parameter sets are left out of the stream."""

    kind: Literal["no_keyframes"] = "no_keyframes"


class ParameterSets(Fault):
    """Parameter sets are found in one place only (a healthy camera gives both).

    Attributes:
        only: ``sdp`` for the session description, ``band`` for the stream.
    """

    kind: Literal["parameter_sets"] = "parameter_sets"
    only: Literal["sdp", "band"] = "sdp"


class TimestampJump(Fault):
    """RTP time jumps, and jumps back when cleared.

    Attributes:
        jump_s: seconds, negative to go back.
        ticks: instead of ``jump_s``, 90 kHz ticks (2**31 is half the range).
        mode: ``zero`` sends time stamp 0 with every picture, ``shuffle`` a random one within a second.
    """

    kind: Literal["timestamp_jump"] = "timestamp_jump"
    jump_s: float = 3600.0
    ticks: int | None = None
    mode: Literal["jump", "zero", "shuffle"] = "jump"


class ClockSkew(Fault):
    """The wall clock in RTCP sender reports is wrong.

    Attributes:
        skew_s: seconds added; ``-1e12`` or less gives 1970.
    """

    kind: Literal["clock_skew"] = "clock_skew"
    skew_s: float = -1e12


class UdpBlackhole(Fault):
    """UDP is agreed on and nothing arrives, as behind a firewall."""

    kind: Literal["udp_blackhole"] = "udp_blackhole"


class Switch(Fault):
    """Another file plays: other resolution or codec, mid-stream.

    Attributes:
        path: the file; its first picture follows at once, with continuous RTP time.
        drop_clients: end connections; None does so where the codec differs, as a camera must.
    """

    kind: Literal["switch"] = "switch"
    path: str
    drop_clients: bool | None = None


class Frozen(Fault):
    """The camera encodes one picture (its latest key picture) for ever."""

    kind: Literal["frozen"] = "frozen"


class Black(Fault):
    """The camera encodes black pictures."""

    kind: Literal["black"] = "black"


class Unauthorized(_Refusal):
    """Every request is answered with 401."""

    kind: Literal["unauthorized"] = "unauthorized"


class Redirect(_Refusal):
    """Every request is answered with 302.

    Attributes:
        url: where to.
    """

    kind: Literal["redirect"] = "redirect"
    url: str


class Garbage(_Refusal):
    """Bytes that are not RTSP, or RTSP that never ends.

    Attributes:
        form: ``random`` bytes, a ``header`` line without end, an ``sdp`` without end.
        limit_bytes: the sender closes the connection after so many.
        seed: of the random bytes.
    """

    kind: Literal["garbage"] = "garbage"
    form: Literal["random", "header", "sdp"] = "random"
    limit_bytes: int = Field(default=1 << 30, ge=1)
    seed: int = 0


class Drip(_Refusal):
    """Answers come one byte at a time.

    Attributes:
        bytes_per_s: pace.
    """

    kind: Literal["drip"] = "drip"
    bytes_per_s: float = Field(default=1.0, gt=0, le=1000)


class SessionLimit(_Refusal):
    """SETUP is refused with 453 beyond a number of sessions.

    Attributes:
        sessions: how many the camera accepts.
    """

    kind: Literal["session_limit"] = "session_limit"
    drop_clients: bool = False
    sessions: int = Field(default=2, ge=0)


AnyFault = (
    Cut
    | Restart
    | Silent
    | Deaf
    | Corrupt
    | Loss
    | Jitter
    | NoKeyframes
    | ParameterSets
    | TimestampJump
    | ClockSkew
    | UdpBlackhole
    | Switch
    | Frozen
    | Black
    | Unauthorized
    | Redirect
    | Garbage
    | Drip
    | SessionLimit
)
FAULT_KINDS: Final[tuple[str, ...]] = tuple(cls.model_fields["kind"].default for cls in get_args(AnyFault))
"""Every ``kind``, in the order of the documentation."""

AWAY: Final = frozenset({"cut", "restart"})
"""Faults during which the camera cannot be connected to."""

PICTURE: Final = frozenset({"switch", "frozen", "black"})
"""Faults that replace the pictures; one at a time."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """When a fault was there, in seconds of the monotonic clock (one clock for all processes of a machine).

    Attributes:
        camera: the camera's name.
        kind: the fault's kind.
        t0_s: instant from which it acts.
        t1_s: instant from which the camera is healthy again in this respect; None while it lasts.
        wall_t0_s: Unix time at ``t0_s``.
    """

    camera: str
    kind: str
    t0_s: float
    t1_s: float | None
    wall_t0_s: float


def parse_fault(kind: str, parameters: dict[str, Any]) -> AnyFault:
    """Check a fault's name and parameters.

    Raises:
        UsageError: V701 naming the parameter, what was found and what is allowed.
    """
    if kind not in FAULT_KINDS:
        raise UsageError(f"fault {kind!r} does not exist; known are {', '.join(sorted(FAULT_KINDS))}.")
    adapter: TypeAdapter[AnyFault] = TypeAdapter(Annotated[AnyFault, Field(discriminator="kind")])
    try:
        return adapter.validate_python({**parameters, "kind": kind})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "parameters"
        raise UsageError(f"fault {kind}: {field}: {first['msg']} (found {first.get('input')!r}).") from None
