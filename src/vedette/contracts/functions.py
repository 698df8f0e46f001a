"""Environment of the account's functions: what the stacks set is what the functions read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Self

from pydantic import Field

from vedette.contracts.base import Contract

#: Calls of one function that work on one queue at the same time, and messages of one call. With a tenth of a second for
#: a message that is 500 a second: what 30,000 devices tell of themselves.
MAX_CALLS: Final = 50
BATCH: Final = 10

Name = Annotated[str, Field(min_length=1)]
#: What ``fleets_text`` makes.
Fleets = Annotated[str, Field(description="Fleet → names of its rings in their order, JSON.")]


def fleets_text(rings: Mapping[str, Sequence[str]]) -> str:
    """Fleet → names of its rings in their order, as it stands in the environment."""
    return json.dumps({fleet: list(names) for fleet, names in rings.items()})


def fleets_of(text: str) -> dict[str, tuple[str, ...]]:
    """The inverse of ``fleets_text``."""
    return {fleet: tuple(names) for fleet, names in json.loads(text).items()}


class FunctionSettings(Contract):
    """What every function is told. A field ``table_name`` is the variable ``TABLE_NAME``."""

    stage: Name
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    def environment(self) -> dict[str, str]:
        """As environment variables."""
        return {field.upper(): str(value) for field, value in self if value is not None}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment; variables of others are left alone.

        Raises:
            pydantic.ValidationError: a variable is missing or not allowed.
        """
        return cls.model_validate({f: environment[f.upper()] for f in cls.model_fields if f.upper() in environment})


class ClaimSettings(FunctionSettings):
    """Of ``claim``."""

    registrations_table: Name


class LedgerSettings(FunctionSettings):
    """Of the function that keeps alerts, tells of them and acknowledges them."""

    ledger_table: Name
    sequences_table: Name
    devices_table: Name
    topic_info: Name
    topic_warning: Name
    topic_critical: Name
    event_bus: Name
    alerts_stream: Name
    ledger_days: Annotated[int, Field(ge=1)]


class InsightsSettings(FunctionSettings):
    """Of the function that makes rows of reports."""

    devices_table: Name
    insights_stream: Name


class DeviceStateSettings(FunctionSettings):
    """Of the functions that keep how a device is, and whether it is connected."""

    devices_table: Name
    event_bus: Name


class ComparisonSettings(FunctionSettings):
    """Of the function that keeps what devices tell of a new version beside the running one."""

    rollouts_table: Name
    devices_table: Name


class SweepSettings(FunctionSettings):
    """Of the function that counts the devices."""

    devices_table: Name
    devices_index: Name
    rings_table: Name
    fleets: Fleets


class ModelIntakeSettings(FunctionSettings):
    """Of the function that looks through models that arrive."""

    models_bucket: Name
    models_table: Name
    event_bus: Name
    objects_key: Annotated[Name, Field(description="Key that Neo encrypts with, its ARN.")]


class ModelReleaseSettings(FunctionSettings):
    """Of the function that makes components of models."""

    models_bucket: Name
    models_table: Name
    event_bus: Name
    artefacts_bucket: Name


class ModelFailureSettings(FunctionSettings):
    """Of the function that records why a model did not get ready."""

    models_table: Name
    event_bus: Name


class RolloutSettings(FunctionSettings):
    """Of ``rollout_step``, and of all that work on rollouts."""

    desired_table: Name
    rollouts_table: Name
    devices_table: Name
    rings_table: Annotated[Name, Field(description="What the last count of each ring's devices found.")]
    count_queue: Annotated[Name, Field(description="Where a count is asked for: address of the queue of `sweep`.")]
    event_bus: Name
    groups_arn: Annotated[str, Field(pattern=r"^arn:.*:thinggroup/$", description="Beginning of all groups' ARNs.")]
    log_key: Annotated[Name, Field(description="Encrypts log groups that are made of applications, its ARN.")]
    log_days: Annotated[int, Field(ge=1, description="How long they keep what is in them.")]
    baseline: Annotated[str, Field(description="What a ring runs of which nothing was decided: component → choice.")]


class RolloutApiSettings(RolloutSettings):
    """Of ``rollout_api``."""

    state_machine_arn: Name
    components_arn: Annotated[str, Field(pattern=r"^arn:.*:components:$")]
    fleets: Fleets


class BaselineSettings(RolloutSettings):
    """Of ``ring_baseline``."""

    fleets: Fleets
