"""What the account's rollout function is asked and answers. Whoever may invoke it may do all of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vedette.contracts.account import ShortName
from vedette.contracts.base import Contract, Identifier
from vedette.contracts.rollout import Change, DesiredState, GatePolicy, Operator, Override, RingName, Rollout
from vedette.contracts.versions import RolloutId


class PlanRequest(Contract):
    """What would a change do?"""

    action: Literal["plan"] = "plan"
    fleet: ShortName
    change: Change
    rings: Annotated[tuple[RingName, ...], Field(description="All of the fleet's, in their order, where empty.")] = ()
    compare: Annotated[bool, Field(description="Whether the first ring is to compare versions.")] = False


class PlanRollbackRequest(Contract):
    """What would give back what ran before the last rollout of an application that succeeded?"""

    action: Literal["plan-rollback"] = "plan-rollback"
    fleet: ShortName
    application: Identifier
    rings: Annotated[tuple[RingName, ...], Field(description="Those of that rollout where empty.")] = ()


class StartRequest(Contract):
    """Roll a change out. Asked again with the same id, it answers with the same rollout."""

    action: Literal["start"] = "start"
    rollout_id: RolloutId
    fleet: ShortName
    change: Change
    rings: tuple[RingName, ...] = ()
    policy: GatePolicy = GatePolicy()
    by: Operator
    overrides: Annotated[tuple[Override, ...], Field(max_length=8)] = ()
    takes_back: Annotated[
        RolloutId | None, Field(description="Each ring gets what it ran before this rollout, whatever the change says.")
    ] = None
    planned_on: Annotated[
        dict[RingName, Change], Field(description="Ring → what it ran, as planned; refused if it has changed.")
    ] = Field(default_factory=dict)


class AbortRequest(Contract):
    """Stop a rollout and give every ring back what it ran."""

    action: Literal["abort"] = "abort"
    rollout_id: RolloutId
    by: Operator
    reason: Annotated[str, Field(max_length=400)] = ""


class StatusRequest(Contract):
    """How does a rollout stand?"""

    action: Literal["status"] = "status"
    rollout_id: RolloutId


class DesiredRequest(Contract):
    """What should each ring of a fleet run, and each device with applications of its own?"""

    action: Literal["desired"] = "desired"
    fleet: ShortName


class ListRequest(Contract):
    """The newest rollouts of a fleet."""

    action: Literal["list"] = "list"
    fleet: ShortName
    limit: Annotated[int, Field(ge=1, le=100)] = 20


Request = Annotated[
    PlanRequest | PlanRollbackRequest | StartRequest | AbortRequest | StatusRequest | DesiredRequest | ListRequest,
    Field(discriminator="action"),
]


class PlannedRing(Contract):
    """What a change would do to a ring."""

    ring: RingName
    devices: Annotated[int, Field(ge=0)]
    version: Annotated[int, Field(ge=0, description="Of the ring's desired state.")]
    now: Annotated[Change, Field(description="What the ring runs of what the change is about.")]
    to: Annotated[Change | None, Field(description="What the ring would get, where it is not the plan's change.")] = (
        None
    )
    nothing_to_do: bool


class Plan(Contract):
    """Answer to ``plan``."""

    fleet: ShortName
    change: Change
    rings: tuple[PlannedRing, ...]
    running: Annotated[RolloutId | None, Field(description="A rollout that excludes this one.")] = None
    takes_back: Annotated[RolloutId | None, Field(description="The rollout that would be taken back.")] = None


class RolloutList(Contract):
    """Answer to ``list``, the newest first."""

    rollouts: tuple[Rollout, ...]


class DesiredList(Contract):
    """Answer to ``desired``: the rings in their order, then the devices by name."""

    states: tuple[DesiredState, ...]


class Refusal(Contract):
    """Answer to anything that was refused: an error of the project's list."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False


class Answer(Contract):
    """Exactly one of them."""

    plan: Plan | None = None
    rollout: Rollout | None = None
    list: RolloutList | None = None
    desired: DesiredList | None = None
    refused: Refusal | None = None
