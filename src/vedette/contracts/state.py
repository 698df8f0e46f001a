"""Requests and answers on ``<state>/run/state.sock``: one JSON object a line, one answer for each request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from vedette.contracts.base import Contract, Identifier
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.plan import AttachedApplication, Plan


class AttachRequest(Contract):
    """Deploy an application here; one of the same name is replaced. Kept until detached."""

    op: Literal["attach"] = "attach"
    application: AttachedApplication


class DetachRequest(Contract):
    """Take an application away."""

    op: Literal["detach"] = "detach"
    name: Identifier


class AttachCandidateRequest(Contract):
    """Put a version beside the running one of the same name, to be compared with it. Kept until detached."""

    op: Literal["attach-candidate"] = "attach-candidate"
    application: AttachedApplication


class DetachCandidateRequest(Contract):
    """Take a candidate away; the running version is not touched."""

    op: Literal["detach-candidate"] = "detach-candidate"
    name: Identifier


class PlanRequest(Contract):
    """Ask what the device does."""

    op: Literal["plan"] = "plan"


class StatusRequest(Contract):
    """Ask how the device is."""

    op: Literal["status"] = "status"


class ParametersRequest(Contract):
    """Ask for the parameters of an application."""

    op: Literal["parameters"] = "parameters"
    name: Identifier


class SetParametersRequest(Contract):
    """Change parameters of an application that is attached, all of them or none."""

    op: Literal["set"] = "set"
    name: Identifier
    values: Annotated[
        dict[Identifier, ParameterValue | None],
        Field(max_length=64, description="Parameter → value, also as text; null: as deployed again."),
    ]


class ParameterState(Contract):
    """One parameter of an attached application as it is now."""

    name: Identifier
    title: str = ""
    value: Annotated[ParameterValue, Field(description="In force.")]
    source: Annotated[Literal["local", "deployment", "manifest"], Field(description="Where the value comes from.")]
    default: Annotated[ParameterValue, Field(description="What the manifest says.")]
    deployed: Annotated[ParameterValue | None, Field(description="What the deployment says.")] = None
    local: Annotated[ParameterValue | None, Field(description="What was set on the device.")] = None
    by: Annotated[str, Field(description="Who set it on the device.")] = ""
    at_wall_s: Annotated[float | None, Field(description="When it was set on the device, Unix time.")] = None
    allowed: Annotated[str, Field(description="Which values are allowed, in words.")] = ""
    places: tuple[str, ...] = ()


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
    candidates: Annotated[
        tuple[ApplicationSummary, ...], Field(description="Versions that are only compared with the running ones.")
    ] = ()
    plan: Plan | None = None
    parameters: Annotated[tuple[ParameterState, ...], Field(description="Of the application asked for.")] = ()
    status: Annotated[
        dict[str, Any], Field(description="What the owner knows besides: camera states and the like.")
    ] = Field(default_factory=dict)


StateRequest = Annotated[
    AttachRequest
    | DetachRequest
    | AttachCandidateRequest
    | DetachCandidateRequest
    | PlanRequest
    | StatusRequest
    | ParametersRequest
    | SetParametersRequest,
    Field(discriminator="op"),
]
