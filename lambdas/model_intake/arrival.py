"""What an event says has arrived."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import CARD_NAME, ModelName, ModelVersion
from vedette.contracts.model_record import INCOMING

#: Stands for the version of a training job's output until its ``model.yaml`` is read.
UNKNOWN_VERSION: Final = "0.0.0"
_NAME: Final[TypeAdapter[str]] = TypeAdapter(ModelName)
_VERSION: Final[TypeAdapter[str]] = TypeAdapter(ModelVersion)
#: ``vedette-<stage>-<model>-<12 digits of the time>``, as ``vedette model train`` names jobs.
_JOB: Final = re.compile(r"vedette-[a-z][a-z0-9-]*?-(?P<model>[a-z][a-z0-9_-]*)-\d{12}")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A version of a model.

    Attributes:
        model: its name.
        version: of the model; ``UNKNOWN_VERSION`` for the output of a training job.
        prefix: where in the bucket its files are; empty for the output of a training job.
    """

    model: str
    version: str
    prefix: str


def arrival(event: Mapping[str, Any]) -> Arrival:
    """Read an event of EventBridge.

    Raises:
        CloudError: V011, it is about something else: the rule and the function do not belong together.
    """
    detail = event.get("detail", {})
    if event.get("source") == "aws.sagemaker":
        found = _JOB.fullmatch(str(detail.get("TrainingJobName")))
        if found is None:
            raise _not_understood(f"training job {detail.get('TrainingJobName')!r}")
        return Arrival(found["model"], UNKNOWN_VERSION, "")
    key = str(detail.get("object", {}).get("key"))
    parts = key.removeprefix(INCOMING).split("/")
    if not key.startswith(INCOMING) or len(parts) != 3 or parts[2] != CARD_NAME:
        raise _not_understood(f"object {key!r}")
    try:
        name, version = _NAME.validate_python(parts[0]), _VERSION.validate_python(parts[1])
    except ValidationError:
        raise _not_understood(f"object {key!r}") from None
    return Arrival(name, version, f"{INCOMING}{name}/{version}/")


def trained_archive(event: Mapping[str, Any]) -> str:
    """Key of a training job's output; empty where the event is about an upload."""
    if event.get("source") != "aws.sagemaker":
        return ""
    uri = str(event.get("detail", {}).get("ModelArtifacts", {}).get("S3ModelArtifacts"))
    place = urlsplit(uri)
    if place.scheme != "s3" or len(place.path) < 2:
        raise _not_understood(f"output {uri!r} of a training job")
    return place.path[1:]


def _not_understood(what: str) -> CloudError:
    return CloudError(f"{what} is not what models arrive as, {INCOMING}<name>/<version>/{CARD_NAME}.", code="V011")
