"""What a device kept of an alert, as far as an application's test needs it: the alert, and the video around it.

Reads ``<state>/evidence/<time>-<alert_id>/evidence.json`` and leaves out what it does not know, so that evidence of
another release of this project can be made a test, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vedette.adapters.evidence.store import LEAST_DIGITS, MAX_RECORD_BYTES
from vedette.contracts.alert import Alert
from vedette.contracts.errors import UsageError
from vedette.contracts.evidence import RECORD


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class IncidentClip(_Lenient):
    """The video around an alert.

    Attributes:
        file: beside the record.
        sha256: of the file.
        duration_s: its length.
        alert_s: where the alert's picture is, seconds into the file.
        covered_s: time in which the whole picture is filled for privacy.
    """

    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    duration_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    alert_s: Annotated[float, Field(allow_inf_nan=False)]
    covered_s: float = 0.0


class _Shortfall(_Lenient):
    why: str = ""


class _Record(_Lenient):
    alert: dict[str, Any]
    privacy: str = "none"
    clip: IncidentClip | None = None
    shortfalls: tuple[_Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """An alert and its clip.

    Attributes:
        alert: as it was reported.
        clip: what is known of the video.
        path: of the video.
        privacy: what pictures of it may show: ``none`` is everything, ``blur`` has people made unrecognisable.
    """

    alert: Alert
    clip: IncidentClip
    path: Path
    privacy: str


def find_incident(directory: Path, alert_id: str) -> Incident:
    """The alert with this id, with its clip.

    Args:
        directory: ``<state>/evidence``.
        alert_id: the whole id, or an unambiguous beginning of at least six digits.

    Raises:
        UsageError: V705, there is no such alert, more than one, or no clip of it.
    """
    wanted = alert_id.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{LEAST_DIGITS},32}}", wanted):
        raise _missing(f"{alert_id!r} is no alert_id; it has 32 hexadecimal digits, the first {LEAST_DIGITS} will do.")
    folders = [folder for folder in sorted(directory.glob("[!.]*")) if _id_of(folder).startswith(wanted)]
    if len(folders) > 1:
        raise _missing(f"{alert_id} is the beginning of {len(folders)} alerts; give more digits.")
    if not folders:
        raise _missing(
            f"nothing is kept of alert {alert_id} in {directory}.",
            "Its application must ask for clips (`evidence: {clip: {}}` in its manifest); the quota may have taken it.",
        )
    record, alert = _read(folders[0])
    if record.clip is None:
        why = "; ".join(entry.why for entry in record.shortfalls if entry.why) or "its application asks for none"
        raise _missing(f"no clip is kept of alert {alert_id}: {why}.")
    path = folders[0] / record.clip.file
    if path.name != record.clip.file or not path.is_file():
        raise _missing(f"the clip {path} is not there any more.", "The quota may have taken it.")
    return Incident(alert, record.clip, path, record.privacy)


def _id_of(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def _read(folder: Path) -> tuple[_Record, Alert]:
    path = folder / RECORD
    try:
        with path.open("rb") as file:
            record = _Record.model_validate_json(file.read(MAX_RECORD_BYTES))
        known = {key: value for key, value in record.alert.items() if key in Alert.model_fields}
        return record, Alert.model_validate(known)
    except (OSError, ValidationError) as error:
        text = error.strerror if isinstance(error, OSError) else error.errors(include_url=False)[0]["msg"]
        raise _missing(f"{path} cannot be read: {text}.") from error


def _missing(message: str, hint: str = "") -> UsageError:
    return UsageError(message, hint=hint, code="V705")
