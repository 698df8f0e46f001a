"""The one error tree. Every error a user can meet has a stable code and a paragraph in ``docs/errors.md``.

    VedetteError
    ├── CloudError           V0xx   the owner's account: stacks, models, rollouts
    ├── ConfigurationError   V1xx   a file or a value the user wrote
    ├── CameraError          V2xx   a camera, its address, its stream
    ├── ModelError           V3xx   a model file, its contract, its run
    ├── StorageError         V4xx   journal, outbox, state directory
    ├── DeliveryError        V5xx   an alert on its way out
    ├── CoreError            V6xx   the local core, recipes, inter-process communication
    ├── UsageError           V7xx   the command line, the machine
    ├── HookError            V8xx   an application's own code
    └── EvidenceError        V9xx   pictures and clips of alerts

Codes are never reused. ``ERROR_CODES`` is the whole list; a test compares it with the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One documented kind of failure.

    Attributes:
        code: stable identifier, ``V`` and three digits.
        title: the failure in a few words.
    """

    code: str
    title: str


ERROR_CODES: Final[dict[str, ErrorCode]] = {
    entry.code: entry
    for entry in (
        ErrorCode("V001", "account cannot be used"),
        ErrorCode("V002", "stacks are not there"),
        ErrorCode("V003", "account refused the request"),
        ErrorCode("V004", "sandbox cannot be used"),
        ErrorCode("V005", "model description has mistakes"),
        ErrorCode("V006", "target cannot run the model"),
        ErrorCode("V007", "compilation failed"),
        ErrorCode("V008", "training failed"),
        ErrorCode("V009", "rollout refused"),
        ErrorCode("V010", "rollout did not go through"),
        ErrorCode("V011", "message not understood"),
        ErrorCode("V012", "registration refused"),
        ErrorCode("V013", "document of a device refused"),
        ErrorCode("V014", "component version refused"),
        ErrorCode("V020", "no such device"),
        ErrorCode("V021", "job refused"),
        ErrorCode("V022", "job did not succeed"),
        ErrorCode("V024", "no such logs"),
        ErrorCode("V101", "manifest cannot be read"),
        ErrorCode("V102", "manifest has mistakes"),
        ErrorCode("V103", "configuration value not allowed"),
        ErrorCode("V104", "camera not bound"),
        ErrorCode("V105", "address refused by the URL policy"),
        ErrorCode("V106", "parameter not allowed"),
        ErrorCode("V107", "application test has mistakes"),
        ErrorCode("V201", "camera cannot be reached"),
        ErrorCode("V202", "camera refused the credentials"),
        ErrorCode("V203", "stream cannot be decoded"),
        ErrorCode("V204", "file or device cannot be opened as a camera"),
        ErrorCode("V205", "frame ring not available"),
        ErrorCode("V301", "model file missing"),
        ErrorCode("V302", "model refused by the gate"),
        ErrorCode("V303", "model does not fit the manifest"),
        ErrorCode("V304", "model returned values that cannot be used"),
        ErrorCode("V305", "model digest differs"),
        ErrorCode("V306", "execution provider not available"),
        ErrorCode("V401", "state directory not usable"),
        ErrorCode("V402", "journal damaged"),
        ErrorCode("V403", "outbox damaged"),
        ErrorCode("V404", "disk quota reached"),
        ErrorCode("V405", "evidence cannot be kept"),
        ErrorCode("V408", "reports of insights cannot be used"),
        ErrorCode("V501", "receiver refused the alert"),
        ErrorCode("V502", "receiver cannot be reached"),
        ErrorCode("V503", "secret not available"),
        ErrorCode("V504", "address or recipient refused"),
        ErrorCode("V505", "signal came too late"),
        ErrorCode("V506", "device or line not available"),
        ErrorCode("V601", "recipe cannot be used"),
        ErrorCode("V602", "component dependency cannot be resolved"),
        ErrorCode("V603", "inter-process request refused"),
        ErrorCode("V604", "component is broken"),
        ErrorCode("V605", "message does not follow the protocol"),
        ErrorCode("V606", "installed files were changed"),
        ErrorCode("V701", "command line argument not allowed"),
        ErrorCode("V702", "machine lacks something needed"),
        ErrorCode("V703", "template or directory not usable"),
        ErrorCode("V704", "application tests failed"),
        ErrorCode("V705", "incident cannot be saved"),
        ErrorCode("V706", "clip does not give the alert again"),
        ErrorCode("V707", "rendered footage cannot be kept"),
        ErrorCode("V708", "built components not usable"),
        ErrorCode("V709", "components cannot be built for this target"),
        ErrorCode("V710", "library cannot be had for this target"),
        ErrorCode("V801", "hook cannot be loaded"),
        ErrorCode("V802", "hook raised an exception"),
        ErrorCode("V803", "hook took too long"),
        ErrorCode("V804", "hook used too much memory or too many processes"),
        ErrorCode("V805", "confinement not available"),
        ErrorCode("V806", "network refused to a hook"),
        ErrorCode("V807", "state of a hook damaged"),
        ErrorCode("V808", "hook broke the protocol or ended"),
        ErrorCode("V809", "hook's directory is full"),
        ErrorCode("V901", "evidence cannot be made"),
        ErrorCode("V902", "picture cannot be made safe"),
        ErrorCode("V903", "nobody looks for people"),
        ErrorCode("V904", "face or person model cannot be used"),
        ErrorCode("V905", "evidence cannot be opened"),
    )
}


class VedetteError(Exception):
    """Base of every error this project raises on purpose.

    Args:
        message: what was found, where, and what is allowed.
        hint: what to do next, one sentence; empty where the message says it all.
        code: one of ``ERROR_CODES``; the class default where omitted.
    """

    default_code: ClassVar[str] = "V701"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        if self.code not in ERROR_CODES:
            raise ValueError(f"undocumented error code {self.code!r}")

    def __str__(self) -> str:
        return f"{self.code} {self.message}" + (f" {self.hint}" if self.hint else "")


class CloudError(VedetteError):
    """The owner's account, or what runs in it (V0xx).

    Attributes:
        retryable: whether the same request may succeed later.
    """

    default_code = "V003"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None, retryable: bool = False) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retryable = retryable


class ConfigurationError(VedetteError):
    """A file or value written by the user is not usable (V1xx)."""

    default_code = "V103"


class CameraError(VedetteError):
    """A camera cannot be reached, opened or decoded (V2xx)."""

    default_code = "V201"


class ModelError(VedetteError):
    """A model is missing, refused or misbehaves (V3xx)."""

    default_code = "V302"


class StorageError(VedetteError):
    """Something on disk is damaged, full or not writable (V4xx)."""

    default_code = "V401"


class DeliveryError(VedetteError):
    """An alert could not be handed over (V5xx).

    Attributes:
        retryable: whether the same alert may be tried again.
    """

    default_code = "V502"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None, retryable: bool = True) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retryable = retryable


class CoreError(VedetteError):
    """The local core, a recipe or the inter-process protocol (V6xx)."""

    default_code = "V601"


class UsageError(VedetteError):
    """The command line or the machine (V7xx)."""

    default_code = "V701"


class HookError(VedetteError):
    """An application's own code, or the process it runs in (V8xx)."""

    default_code = "V802"


class EvidenceError(VedetteError):
    """A picture or clip of an alert cannot be made, kept or shown (V9xx)."""

    default_code = "V901"
