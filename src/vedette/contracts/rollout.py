"""What a ring should run, a change of it, and a rollout of that change; as the account keeps and answers it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from vedette.contracts.account import ShortName
from vedette.contracts.base import Contract, Identifier
from vedette.contracts.comparison import MAX_NOTES, Agreement, ComparisonPolicy, ComparisonTask
from vedette.contracts.device import ThingName
from vedette.contracts.fleet_metrics import Condition
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.versions import ComponentName, ComponentVersion, RolloutId

#: Checks in one rollout, at most: a state machine's history has an end.
MAX_CHECKS: Final = 2000
#: Devices of a ring that are remembered as unwell before it was touched: a rollout is one item of a table.
MAX_UNWELL: Final = 1000
#: Longest that all rings of a rollout may take together, seconds.
MAX_ROLLOUT_S: Final = 7 * 86400

#: Devices of a fleet that may have applications of their own: to try out, not a way to run a fleet.
MAX_OWN_DEVICES: Final = 100
#: Beginning of the name of a ring that is one device: it has deployments of its own, beside those of its real ring.
DEVICE_RING: Final = "thing/"

#: A ring of a fleet, or one device (``thing/NAME``).
RingName = Annotated[
    str, StringConstraints(pattern=rf"^([a-z][a-z0-9-]{{0,23}}|{DEVICE_RING}[A-Za-z0-9][A-Za-z0-9_-]{{0,63}})$")
]
#: Who, as the client says; the account's own trail (CloudTrail) knows who called.
Operator = Annotated[str, Field(min_length=1, max_length=256)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[int, Field(ge=0, le=7 * 86400)]


def device_ring(thing: str) -> str:
    """The ring that is one device."""
    return f"{DEVICE_RING}{thing}"


def device_of(ring: str) -> str | None:
    """The device that a ring is; None of a ring of a fleet."""
    return ring.removeprefix(DEVICE_RING) if ring.startswith(DEVICE_RING) else None


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


class Candidate(ApplicationChoice):
    """A new version of an application that is compared with the running one and gives no alerts."""

    task: ComparisonTask


class DesiredState(Contract):
    """Everything that a ring should run. A value; each change makes the next version."""

    fleet: ShortName
    ring: RingName
    version: Annotated[int, Field(ge=0, description="0 where nothing was ever decided.")] = 0
    components: dict[ComponentName, ComponentChoice] = Field(default_factory=dict)
    applications: dict[Identifier, ApplicationChoice] = Field(default_factory=dict)
    candidates: Annotated[
        dict[Identifier, Candidate], Field(description="Applications whose new version is being compared.")
    ] = Field(default_factory=dict)


class ApplicationChange(Contract):
    """One application is put in, changed, or taken out (``to`` is null)."""

    kind: Literal["application"] = "application"
    name: Identifier
    to: ApplicationChoice | None


class ComponentChange(Contract):
    """Components below the applications are put in, changed, or taken out, together."""

    kind: Literal["components"] = "components"
    to: Annotated[dict[ComponentName, ComponentChoice | None], Field(min_length=1, max_length=50)]


class CandidateChange(Contract):
    """A candidate is put beside an application, or taken away (``to`` is null). Nobody asks for it."""

    kind: Literal["candidate"] = "candidate"
    name: Identifier
    to: Candidate | None


#: What can be rolled out.
Change = Annotated[ApplicationChange | ComponentChange, Field(discriminator="kind")]
#: What can be done to a ring.
RingChange = Annotated[ApplicationChange | ComponentChange | CandidateChange, Field(discriminator="kind")]


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
    comparison: Annotated[
        ComparisonPolicy | None,
        Field(description="Of a new version of an application with the running one, in the first ring; none if null."),
    ] = None

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
    COMPARING = "comparing"
    DEPLOYING = "deploying"
    PASSED = "passed"
    RESTORED = "restored"


class Compared(Contract):
    """What the devices of a ring saw with a new version beside the running one."""

    verdict: Verdict
    reason: str
    devices: Annotated[int, Field(ge=0, description="That have told.")] = 0
    finished: Annotated[int, Field(ge=0, description="Of those, with the whole budget of pictures or time.")] = 0
    overall: Agreement = Agreement()
    labels: dict[str, Agreement] = Field(default_factory=dict)
    notes: Annotated[
        tuple[str, ...], Field(max_length=MAX_NOTES, description="What devices left out, for people; hinders nothing.")
    ] = ()


class RingStep(Contract):
    """One ring's part in a rollout."""

    ring: RingName
    status: RingStatus = RingStatus.WAITING
    change: Annotated[Change | None, Field(description="Of this ring, where it is not the rollout's.")] = None
    undo: Annotated[RingChange | None, Field(description="What gives the ring back what it ran before.")] = None
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
    compared: Annotated[Compared | None, Field(description="Where versions were compared first.")] = None


class Override(Contract):
    """A check that an operator passed over, for good reason."""

    check: Annotated[Literal["tests", "comparison", "code"], Field(description="What was not asked for.")]
    reason: Annotated[str, Field(min_length=1, max_length=400)]


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
    overrides: tuple[Override, ...] = ()
    takes_back: Annotated[RolloutId | None, Field(description="The rollout that this one takes back.")] = None
    status: RolloutStatus = RolloutStatus.RUNNING
    reason: str = ""
    created_at: int
    updated_at: int
