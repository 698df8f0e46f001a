"""What a ring should run, a change of it, and a rollout of that change; as the account keeps and answers it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from vedette.contracts.account import ShortName
from vedette.contracts.base import Contract, Identifier
from vedette.contracts.device import ThingName
from vedette.contracts.fleet_metrics import Condition
from vedette.contracts.manifest import ParameterValue

#: Beginning of the names of applications' components.
APPLICATION_PREFIX: Final = "vedette.app."
#: Checks in one rollout, at most: a state machine's history has an end.
MAX_CHECKS: Final = 2000
#: Devices of a ring that are remembered as unwell before it was touched: a rollout is one item of a table.
MAX_UNWELL: Final = 1000
#: Longest that all rings of a rollout may take together, seconds.
MAX_ROLLOUT_S: Final = 7 * 86400

ComponentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
ComponentVersion = Annotated[
    str, StringConstraints(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9A-Za-z.-]{1,40})?(\+[0-9A-Za-z.-]{1,40})?$")
]
RolloutId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$")]
#: Who, as the client says; the account's own trail (CloudTrail) knows who called.
Operator = Annotated[str, Field(min_length=1, max_length=256)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[int, Field(ge=0, le=7 * 86400)]


class ComponentChoice(Contract):
    """A component as a ring should run it."""

    version: ComponentVersion
    configuration: Annotated[
        dict[str, JsonValue], Field(description="What differs from the recipe's default configuration.")
    ] = Field(default_factory=dict)


class ApplicationChoice(Contract):
    """An application as a ring should run it."""

    version: ComponentVersion
    bindings: Annotated[dict[str, tuple[str, ...]], Field(description="Abstract camera → cameras of the site.")] = (
        Field(default_factory=dict)
    )
    parameters: dict[Identifier, ParameterValue | None] = Field(default_factory=dict)


class DesiredState(Contract):
    """Everything that a ring should run. A value; each change makes the next version."""

    fleet: ShortName
    ring: ShortName
    version: Annotated[int, Field(ge=0, description="0 where nothing was ever decided.")] = 0
    components: dict[ComponentName, ComponentChoice] = Field(default_factory=dict)
    applications: dict[Identifier, ApplicationChoice] = Field(default_factory=dict)


class ApplicationChange(Contract):
    """One application is put in, changed, or taken out (``to`` is null)."""

    kind: Literal["application"] = "application"
    name: Identifier
    to: ApplicationChoice | None


class ComponentChange(Contract):
    """Components below the applications are put in, changed, or taken out, together."""

    kind: Literal["components"] = "components"
    to: Annotated[dict[ComponentName, ComponentChoice | None], Field(min_length=1, max_length=50)]


Change = Annotated[ApplicationChange | ComponentChange, Field(discriminator="kind")]


class Verdict(StrEnum):
    """What a gate says of a ring."""

    WAIT = "wait"
    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    UNDECIDED = "undecided"


class GatePolicy(Contract):
    """When a ring has done well enough for the next one."""

    check_every_s: Annotated[int, Field(ge=1, le=3600)] = 60
    timeout_s: Annotated[Seconds, Field(description="After this a ring that has not passed is taken back.")] = 3600
    soak_s: Annotated[Seconds, Field(description="How long enough devices must have run it before they count.")] = 600
    least_succeeded: Annotated[Share, Field(gt=0.0, description="Share of the devices that are online.")] = 0.9
    most_failed: Annotated[Share, Field(description="Share of the devices that are online.")] = 0.0
    most_newly_unwell: Annotated[
        Share, Field(description="Share of all devices that may report a problem, or fall silent, and did not before.")
    ] = 0.0
    empty_ring_passes: Annotated[
        bool, Field(description="A ring without devices says nothing; may the next begin?")
    ] = True

    @model_validator(mode="after")
    def _time_to_pass(self) -> GatePolicy:
        if self.soak_s >= self.timeout_s:
            raise ValueError(f"soak_s ({self.soak_s}) must be less than timeout_s ({self.timeout_s})")
        return self


class RingCounts(Contract):
    """Devices of a ring."""

    devices: Annotated[int, Field(ge=0)]
    offline: Annotated[int, Field(ge=0, description="They get the change when they are back, and are no evidence.")] = 0
    succeeded: Annotated[int, Field(ge=0, description="Run the change, of those online.")] = 0
    failed: Annotated[int, Field(ge=0, description="Refused it, of those online.")] = 0
    unhealthy: Annotated[int, Field(ge=0, description="Report a problem, of those online.")] = 0
    newly_unwell: Annotated[
        int, Field(ge=0, description="Report a problem that they did not have before, or have fallen silent.")
    ] = 0

    @property
    def online(self) -> int:
        """Devices that can be judged by."""
        return self.devices - self.offline


class RingStatus(StrEnum):
    """How far a ring is."""

    WAITING = "waiting"
    DEPLOYING = "deploying"
    PASSED = "passed"
    RESTORED = "restored"


class RingStep(Contract):
    """One ring's part in a rollout."""

    ring: ShortName
    status: RingStatus = RingStatus.WAITING
    undo: Annotated[Change | None, Field(description="What gives the ring back what it ran before.")] = None
    version: Annotated[int | None, Field(description="Of the desired state with the change in it.")] = None
    deployment_id: str | None = None
    began_at: int | None = None
    settled_at: Annotated[int | None, Field(description="Since when enough devices have run it.")] = None
    unwell_before: Annotated[
        dict[ThingName, tuple[Condition, ...]],
        Field(max_length=MAX_UNWELL, description="What was wrong with which device before the ring was touched."),
    ] = Field(default_factory=dict)
    counts: RingCounts | None = None
    verdict: Verdict | None = None
    reason: str = ""


class RolloutStatus(StrEnum):
    """How a rollout stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled-back"


class Rollout(Contract):
    """A change on its way through a fleet's rings. Times are seconds since 1970."""

    rollout_id: RolloutId
    fleet: ShortName
    change: Change
    rings: Annotated[tuple[RingStep, ...], Field(min_length=1)]
    policy: GatePolicy = GatePolicy()
    by: Operator
    status: RolloutStatus = RolloutStatus.RUNNING
    reason: str = ""
    created_at: int
    updated_at: int
