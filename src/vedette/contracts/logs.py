"""Log groups and streams of devices, as Greengrass names them.

Greengrass's log manager (classic nucleus): one group a component, one stream a day and device. The system log forwarder
(nucleus lite): one group for the whole journal, one stream a device. Sources: AWS IoT Greengrass developer guide,
"Monitor AWS IoT Greengrass logs" and "System log forwarder".
"""

from __future__ import annotations

from datetime import date
from typing import Final

#: Log groups of components begin so; region and component follow.
COMPONENT_LOGS: Final = "/aws/greengrass/UserComponent"
#: Of the nucleus itself begin so; region and ``System`` follow.
NUCLEUS_LOGS: Final = "/aws/greengrass/GreengrassSystemComponent"
#: The journal of devices with nucleus lite: the forwarder's own default.
JOURNAL_LOGS: Final = "greengrass/systemLogs"
#: What commands call the two that are no component's.
SYSTEM: Final = "system"
JOURNAL: Final = "journal"

LOG_MANAGER: Final = "aws.greengrass.LogManager"


def component_group(region: str, component: str) -> str:
    """Log group of a component."""
    return f"{COMPONENT_LOGS}/{region}/{component}"


def nucleus_group(region: str) -> str:
    """Log group of the nucleus."""
    return f"{NUCLEUS_LOGS}/{region}/System"


def day_stream(day: date, thing: str) -> str:
    """Stream of a device's lines of one day, UTC."""
    return f"/{day:%Y/%m/%d}/thing/{thing}"
