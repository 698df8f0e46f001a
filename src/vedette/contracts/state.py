"""Requests and answers on ``<state>/run/state.sock``: one JSON object a line, one answer for each request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from vedette.contracts.base import Contract, Identifier
from vedette.contracts.plan import AttachedApplication, Plan


class AttachRequest(Contract):
    """Deploy an application here; one of the same name is replaced. Kept until detached."""

    op: Literal["attach"] = "attach"
    application: AttachedApplication


class DetachRequest(Contract):
    """Take an application away."""

    op: Literal["detach"] = "detach"
    name: Identifier


class PlanRequest(Contract):
    """Ask what the device does."""

    op: Literal["plan"] = "plan"


class StatusRequest(Contract):
    """Ask how the device is."""

    op: Literal["status"] = "status"


class ApplicationSummary(Contract):
    """One attached application, in short."""

    name: Identifier
    title: str = ""
    version: str = ""
    directory: str = ""
    bindings: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class StateAnswer(Contract):
    """What the owner of the state directory answers."""

    ok: bool
    code: Annotated[str, Field(description="Error code where not ok.")] = ""
    message: str = ""
    hint: str = ""
    revision: int = 0
    changed: Annotated[bool, Field(description="Whether the request changed anything.")] = False
    problems: tuple[str, ...] = ()
    applications: tuple[ApplicationSummary, ...] = ()
    plan: Plan | None = None
    status: Annotated[
        dict[str, Any], Field(description="What the owner knows besides: camera states and the like.")
    ] = Field(default_factory=dict)


StateRequest = Annotated[
    AttachRequest | DetachRequest | PlanRequest | StatusRequest,
    Field(discriminator="op"),
]
