"""Where a version of a model stands for one target: an item of the table of models, and the event about it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from vedette.contracts.base import Contract
from vedette.contracts.model_card import ModelName, ModelVersion, Target

#: Detail type of the event that tells of a change.
#: AWS's own account that training images of most regions are in
#: (https://github.com/aws/deep-learning-containers, "available images").
TRAINING_IMAGES_ACCOUNT: Final = "763104351884"
MODEL_STATE_EVENT: Final = "ModelState"
#: Below it data scientists put ``<name>/<version>/<file>`` and, last, ``<name>/<version>/model.yaml``.
INCOMING: Final = "incoming/"
#: Below it the account keeps what it compiles from and what compilation made.
JOBS: Final = "jobs/"
COMPILED: Final = "compiled/"
#: Below them training jobs find their program and their data, and write.
CODE: Final = "code/"
DATASETS: Final = "datasets/"
TRAINED: Final = "trained/"
#: Stands for the target where none is known, because ``model.yaml`` cannot be read.
NO_TARGET: Final = "all"
#: How a target ends, for the state machine, where it was not the model that failed.
BROKEN: Final = "BROKEN"
#: What is kept of a reason, characters.
MAX_REASON: Final = 1000


class ModelState(StrEnum):
    """Where a version of a model stands for one target."""

    PACKING = "PACKING"
    COMPILING = "COMPILING"
    RELEASED = "RELEASED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


#: States that do not change by themselves.
SETTLED: Final = frozenset({ModelState.RELEASED, ModelState.REFUSED, ModelState.FAILED})


class ModelRecord(Contract):
    """One item of the table of models: partition key ``model``, sort key ``release``."""

    model: ModelName
    release: Annotated[str, Field(description="`<version>#<target>`.")]
    version: ModelVersion
    target: Annotated[Target | None, Field(description="None where model.yaml itself was refused.")] = None
    state: ModelState
    reason: Annotated[str, Field(max_length=MAX_REASON, description="Neo's own words where Neo failed.")] = ""
    runtime: Annotated[str, Field(description="`dlr` or `onnxruntime`; empty where none.")] = ""
    sha256: Annotated[str, Field(description="Of the model file; empty where it could not be read.")] = ""
    component: str = ""
    execution: Annotated[str, Field(description="That did it.")] = ""
    updated_at: AwareDatetime


def release_key(version: str, target: Target | None) -> str:
    """Sort key of a record."""
    return f"{version}#{target.value if target is not None else NO_TARGET}"


def model_component(name: str, target: Target) -> str:
    """Greengrass component of a model for one kind of device; its version is the model's."""
    return f"vedette.model.{name}.{target.value}"


def incoming_key(name: str, version: str, file: str) -> str:
    """Object key of an upload."""
    return f"{INCOMING}{name}/{version}/{file}"
