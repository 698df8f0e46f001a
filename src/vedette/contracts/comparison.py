"""A new version of an application beside the one that runs: what is compared, and what a device tells of it.

Both analyse the same pictures; alerts come from the running one alone. Each object that one of them followed is one
observation, and its value is the share of its pictures in which the other one saw it too (same label, boxes that
overlap). Objects and not pictures are counted, because the pictures of one object are not independent.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AwareDatetime, Field, model_validator

from vedette.contracts.base import Contract, Identifier
from vedette.contracts.device import ThingName
from vedette.contracts.versions import ComponentVersion, RolloutId

#: Labels that are counted by themselves; what else is seen is counted as ``OTHER_LABELS``.
MAX_LABELS: Final = 16
OTHER_LABELS: Final = "*"
#: Names of failed golden clips in a report.
MAX_FAILURES: Final = 8
#: Notes in a report, and letters of one.
MAX_NOTES: Final = 4
MAX_NOTE: Final = 200
#: Devices whose reports are kept of one comparison: an item of a table has an end, and the sample is large enough.
MAX_DEVICES: Final = 200
#: Nucleus lite takes messages of 10,000 bytes, and the payload travels as base64 inside JSON.
MAX_REPORT_BYTES: Final = 7_000

_Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class ComparisonPolicy(Contract):
    """How much is compared, and what may differ."""

    frames: Annotated[
        int, Field(ge=50, le=100_000, description="Pictures analysed by both, on each device; then it reports.")
    ] = 2_000
    timeout_s: Annotated[int, Field(ge=60, le=7 * 86400, description="A device reports what it has by then.")] = 3_600
    warm_up: Annotated[
        int, Field(ge=0, le=1_000, description="Pictures at first that do not count: trackers confirm objects late.")
    ] = 25
    least_overlap: Annotated[_Share, Field(gt=0.0, description="Of two boxes (IoU) of the same object.")] = 0.5
    least_pictures: Annotated[
        int, Field(ge=1, le=100, description="Of an object that counts; what was there for less is noise.")
    ] = 3
    least_agreement: Annotated[
        _Share, Field(description="Of what the running version follows, the share that the new one must see.")
    ] = 0.8
    most_new: Annotated[
        _Share, Field(description="Of what the new version follows, the share that the running one need not see.")
    ] = 0.5
    confidence: Annotated[float, Field(ge=0.5, lt=1.0, description="Of the bounds, one-sided.")] = 0.95


class ComparisonTask(Contract):
    """What a candidate is told by its deployment."""

    rollout_id: RolloutId
    policy: ComparisonPolicy = ComparisonPolicy()


class Agreement(Contract):
    """Of one label, or of all. Sums, so that devices can be added up."""

    running_objects: Annotated[_Count, Field(description="Followed by the running version.")] = 0
    running_seen: Annotated[float, Field(ge=0, description="Sum of the shares in which the new one saw them.")] = 0.0
    new_objects: Annotated[_Count, Field(description="Followed by the new version.")] = 0
    new_seen: Annotated[float, Field(ge=0, description="Sum of the shares in which the running one saw them.")] = 0.0

    @model_validator(mode="after")
    def _sums_of_shares(self) -> Agreement:
        # A little more than the count may come of rounding.
        if self.running_seen > self.running_objects + 1e-6 or self.new_seen > self.new_objects + 1e-6:
            raise ValueError("a sum of shares is greater than the number of objects")
        return self


class GoldenClips(Contract):
    """The application's own tests, run on the device."""

    total: _Count = 0
    failed: _Count = 0
    lacking: Annotated[_Count, Field(description="Tests whose recording did not come with the application.")] = 0
    failures: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=MAX_FAILURES)] = ()


class ComparisonReport(Contract):
    """What a device tells of a comparison; told again, it replaces what the device told before."""

    time: AwareDatetime
    device: ThingName
    rollout_id: RolloutId
    application: Identifier
    version: Annotated[ComponentVersion, Field(description="The new one.")]
    against: Annotated[ComponentVersion | None, Field(description="The running one; None where there is none.")] = None
    done: Annotated[bool, Field(description="Whether the budget of pictures or of time is spent.")]
    frames: Annotated[_Count, Field(description="Analysed by both, after the warm-up.")] = 0
    labels: Annotated[dict[str, Agreement], Field(max_length=MAX_LABELS + 1)] = Field(default_factory=dict)
    golden: Annotated[GoldenClips | None, Field(description="None while they have not been run.")] = None
    problem: Annotated[str, Field(max_length=400, description="Why it cannot be compared, for people.")] = ""
    not_compared: Annotated[
        str | None, Field(max_length=200, description="Why nothing of the version can be compared, as it is meant.")
    ] = None
    notes: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_NOTE)], ...],
        Field(max_length=MAX_NOTES, description="What was left out of the comparison, for people; hinders nothing."),
    ] = ()


class Comparison(Contract):
    """All reports of one rollout, as the account keeps them. The newest of each device."""

    rollout_id: RolloutId
    reports: Annotated[dict[ThingName, ComparisonReport], Field(max_length=MAX_DEVICES)] = Field(default_factory=dict)
