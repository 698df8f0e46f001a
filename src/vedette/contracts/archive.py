"""Columns of what is kept for analysis, and where it lies in the bucket. Times are RFC 3339 in UTC, as text."""

from __future__ import annotations

from typing import Final

ALERTS: Final = "alerts"
INSIGHTS: Final = "insights"
#: Partition: the day, in UTC, on which the account received it.
DAY: Final = "day"

#: Column → type of Athena. A row may be there more than once; ``alert_id`` tells.
ALERT_COLUMNS: Final[dict[str, str]] = {
    "alert_id": "string",
    "device": "string",
    "site": "string",
    "fleet": "string",
    "application": "string",
    "camera": "string",
    "device_camera": "string",
    "rule": "string",
    "severity": "string",
    "time": "string",
    "received": "string",
    "label": "string",
    "confidence": "double",
    "number": "int",
    "direction": "string",
    "distance_m": "double",
    "duration_s": "double",
    "attributes": "string",
    "message": "string",
}
#: One row for each insight of a report; ``report_id`` and ``insight`` tell a repeat.
INSIGHT_COLUMNS: Final[dict[str, str]] = {
    "report_id": "string",
    "device": "string",
    "site": "string",
    "fleet": "string",
    "application": "string",
    "pipeline": "string",
    "camera": "string",
    "device_camera": "string",
    "start_time": "string",
    "end_time": "string",
    "insight": "string",
    "type": "string",
    "analysed_s": "double",
    "figures": "string",
}


def prefix(table: str) -> str:
    """Where a table's objects lie."""
    return f"{table}/"
