"""What Greengrass's log manager is told: to send the logs of whatever of ours a ring runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import JsonValue

from vedette.contracts.rollout import ComponentChoice

_OURS: Final = "vedette."
#: How often a device sends what is new, seconds. Greengrass's default is 300.
UPLOAD_EVERY_S: Final = 60
#: Room for the log files of one component on the device, MB; the oldest go first.
_ROOM_MB: Final = 25
_UPLOADER: Final = "logsUploaderConfiguration"
_MAP: Final = "componentLogsConfigurationMap"
# The log manager's own examples give numbers and truth values as text, and lite knows no other.
_LIMITS: Final[dict[str, JsonValue]] = {
    "minimumLogLevel": "INFO",
    "diskSpaceLimit": str(_ROOM_MB),
    "diskSpaceLimitUnit": "MB",
    "deleteLogFileAfterCloudUpload": "false",
}


def with_logs_of(choice: ComponentChoice, components: Iterable[str]) -> ComponentChoice:
    """The log manager as chosen, and the logs of each component of ours beside those that were chosen.

    Args:
        choice: of the log manager; what it says itself stays.
        components: everything that the ring runs.
    """
    given: dict[str, Any] = dict(choice.configuration)
    uploader = given.get(_UPLOADER)
    uploader = dict(uploader) if isinstance(uploader, dict) else {}
    chosen = uploader.get(_MAP)
    ours: dict[str, JsonValue] = {name: dict(_LIMITS) for name in sorted(components) if name.startswith(_OURS)}
    uploader[_MAP] = {**ours, **(chosen if isinstance(chosen, dict) else {})}
    uploader.setdefault("systemLogsConfiguration", {"uploadToCloudWatch": "true", **_LIMITS})
    given.setdefault("periodicUploadIntervalSec", str(UPLOAD_EVERY_S))
    return choice.model_copy(update={"configuration": {**given, _UPLOADER: uploader}})
