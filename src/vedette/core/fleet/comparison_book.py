"""The reports of one comparison, in one item of a table. Pure."""

from __future__ import annotations

from typing import Final

from vedette.contracts.comparison import MAX_DEVICES, OTHER_LABELS, Comparison, ComparisonReport
from vedette.core.fleet.comparison import added_up

#: DynamoDB takes items of 400 KB; the rest is for keys and other attributes.
MAX_BYTES: Final = 350_000
#: Up to here reports are kept whole. A short one has about 1,000 bytes at most: the rest is enough for all devices.
_WHOLE_BYTES: Final = 140_000
#: Letters of a problem in a short report.
_SHORT: Final = 40


def noted(kept: Comparison, report: ComparisonReport) -> Comparison | None:
    """The reports with one more; None where it changes nothing or there is no room.

    Of each device the newest counts, in whatever order they come. Where there is much, a report is kept with its labels
    added up, which decides the same over all labels. A device more than are kept is left out.

    Args:
        kept: what is there.
        report: of a device.
    """
    before = kept.reports.get(report.device)
    if before is not None and before.time >= report.time:
        return None
    if before is None and len(kept.reports) >= MAX_DEVICES:
        return None
    for one, limit in ((report, _WHOLE_BYTES), (_short(report), MAX_BYTES)):
        after = kept.model_copy(update={"reports": {**kept.reports, report.device: one}})
        if size(after) <= limit:
            return after
    return None


def size(comparison: Comparison) -> int:
    """Bytes of it, as it is kept."""
    return len(text(comparison).encode())


def text(comparison: Comparison) -> str:
    """As it is kept."""
    return comparison.model_dump_json(exclude_defaults=True)


def _short(report: ComparisonReport) -> ComparisonReport:
    golden = report.golden.model_copy(update={"failures": ()}) if report.golden is not None else None
    labels = {OTHER_LABELS: added_up(report.labels.values())} if report.labels else {}
    return report.model_copy(
        update={"labels": labels, "golden": golden, "problem": report.problem[:_SHORT], "notes": ()}
    )
