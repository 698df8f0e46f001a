"""Alerts and reports as rows for analysis; the columns are those of ``vedette.contracts.archive``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from vedette.contracts.alert import Alert
from vedette.contracts.insight import InsightReport

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device belongs; ``unknown`` where nobody registered it: its alert is kept all the same."""

    site: str = UNKNOWN
    fleet: str = UNKNOWN


def utc(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: such texts sort as the times do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def in_utc(*moments: datetime) -> bool:
    """Whether times can be said in UTC; those of the calendar's first and last day cannot, in some zones."""
    try:
        for moment in moments:
            moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


def alert_row(alert: Alert, place: Place, received: datetime) -> dict[str, Any]:
    """One alert, without boxes and track numbers."""
    return {
        "alert_id": alert.alert_id,
        "device": alert.device,
        "site": place.site,
        "fleet": place.fleet,
        "application": alert.application,
        "camera": alert.camera,
        "device_camera": alert.device_camera,
        "rule": alert.rule,
        "severity": alert.severity.value,
        "time": utc(alert.time),
        "received": utc(received),
        "label": alert.label,
        "confidence": alert.confidence,
        "number": alert.count,
        "direction": alert.direction.value if alert.direction is not None else None,
        "distance_m": alert.distance_m,
        "duration_s": alert.duration_s,
        "attributes": _text(alert.attributes),
        "message": alert.message,
    }


def insight_rows(report: InsightReport, place: Place) -> list[dict[str, Any]]:
    """One row for each insight of a report."""
    common = {
        "report_id": report.report_id,
        "device": report.device,
        "site": place.site,
        "fleet": place.fleet,
        "application": report.application,
        "pipeline": report.pipeline,
        "camera": report.camera,
        "device_camera": report.device_camera,
        "start_time": utc(report.start),
        "end_time": utc(report.end),
    }
    rows = []
    for name, values in sorted(report.values.items()):
        figures = values.model_dump(mode="json", exclude_none=True, exclude={"type", "analysed_s"})
        rows.append(
            {
                **common,
                "insight": name,
                "type": values.type,
                "analysed_s": values.analysed_s,
                "figures": _text(figures),
            }
        )
    return rows


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
