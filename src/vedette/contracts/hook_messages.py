"""What the process that runs an application's code answers. It is believed nothing: every value has a bound."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vedette.contracts.base import Contract

#: A state that fits has at most 64 KB, and its JSON text in a message is escaped once more.
MAX_STATE_CHARACTERS = 64 << 10


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("not printable")
    return text


Printable = Annotated[str, AfterValidator(_printable)]
#: Python knows longer ones.
Integer = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class RaisedMessage(Contract):
    """One alert."""

    message: Annotated[Printable, Field(min_length=1, max_length=200)]
    camera: Annotated[str, Field(max_length=64, description="The device's name of the camera.")]
    key: Annotated[Printable, Field(max_length=64)] = ""
    number: Annotated[int, Field(ge=0, lt=16)] = 0
    track_ids: Annotated[tuple[Integer, ...], Field(max_length=64)] = ()
    count: Annotated[int | None, Field(ge=0, lt=1 << 31)] = None
    severity: Literal["", "info", "warning", "critical"] = ""


class HookReply(Contract):
    """A call that returned."""

    alerts: Annotated[tuple[RaisedMessage, ...], Field(max_length=16)] = ()
    state: Annotated[str | None, Field(max_length=MAX_STATE_CHARACTERS, description="JSON; None: as before.")] = None
    functions: Annotated[tuple[str, ...], Field(max_length=3, description="What the file defines.")] = ()
    timers: Annotated[
        tuple[Annotated[float, Field(ge=0.1, allow_inf_nan=False)], ...],
        Field(max_length=16, description="Seconds between two calls of each timer."),
    ] = ()


class HookFailure(Contract):
    """A call that raised an exception."""

    kind: Annotated[str, Field(max_length=100, description="Class of the exception.")]
    text: Annotated[str, Field(max_length=4000, description="Last lines of the traceback.")]


class HookAnswer(Contract):
    """Answer to the call of a number."""

    n: Integer
    ok: HookReply | None = None
    failed: HookFailure | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.ok is None) == (self.failed is None):
            raise ValueError("neither ok nor failed, or both")
        return self


class ConnectRequest(Contract):
    """The code wants to connect somewhere."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)]
    timeout_s: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 10.0


class WallsReport(Contract):
    """Which walls stand around the process; said before it loads any code of the application."""

    standing: dict[str, str]
    missing: dict[str, str]
    sufficient: bool
